#!/usr/bin/env escript
%% What `messages.rs` measures, in Erlang: ping-pong of two processes, one-way messages, spawn to exit. 64-byte binaries,
%% copied from process to process. Prints one number: how many a second.
-mode(compile).

main([What, Count]) ->
    N = list_to_integer(Count),
    Bytes = list_to_binary(lists:duplicate(64, $x)),
    Self = self(),
    Begin = erlang:monotonic_time(nanosecond),
    case What of
        "pingpong" ->
            Pong = spawn_link(fun() -> pong(N) end),
            ping(N, Pong, Bytes);
        "oneway" ->
            Sink = spawn_link(fun() -> sink(N), Self ! done end),
            send(N, Sink, Bytes),
            receive done -> ok end;
        "spawn" ->
            make(N)
    end,
    Took = erlang:monotonic_time(nanosecond) - Begin,
    io:format("~p~n", [N * 1000000000 / Took]).

ping(0, _, _) -> ok;
ping(N, Pong, Bytes) ->
    Pong ! {self(), copy(Bytes)},
    receive _ -> ping(N - 1, Pong, Bytes) end.

pong(0) -> ok;
pong(N) ->
    receive {From, Bytes} -> From ! copy(Bytes), pong(N - 1) end.

send(0, _, _) -> ok;
send(N, Sink, Bytes) ->
    Sink ! copy(Bytes),
    send(N - 1, Sink, Bytes).

sink(0) -> ok;
sink(N) -> receive _ -> sink(N - 1) end.

%% Binaries of up to 64 bytes lie on the heap of a process and are copied with the message.
copy(Bytes) -> Bytes.

make(0) -> ok;
make(N) ->
    {Pid, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, Pid, _} -> make(N - 1) end.
