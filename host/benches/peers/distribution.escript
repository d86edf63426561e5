#!/usr/bin/env escript
%% What `mesh.rs` measures, in Erlang distribution: two nodes in processes of their own on loopback (TCP, not encrypted),
%% 64-byte binaries. `server` echoes and counts until it is killed; `pingpong COUNT BATCH` prints the mean microseconds of each
%% batch of round trips in a line; `oneway COUNT` prints how many messages a second; `watch` ends when it hears that the other
%% node is down (`loss.rs`). How nodes are named and connect is in
%% ERL_FLAGS (`erlang.rs`), without the daemon epmd.
-mode(compile).

main(["server"]) ->
    register(pong, spawn_link(fun pong/0)),
    register(sink, spawn_link(fun() -> sink(0) end)),
    io:format("listening on ~s~n", [node()]),
    receive never -> ok end;
main(["watch", Node]) ->
    Server = list_to_atom(Node),
    true = net_kernel:connect_node(Server),
    true = erlang:monitor_node(Server, true),
    io:format("listening on ~s~n", [node()]),
    receive {nodedown, Server} -> halt(0) end;
main([What, Node, Count | Batch]) ->
    Server = list_to_atom(Node),
    true = net_kernel:connect_node(Server),
    N = list_to_integer(Count),
    Bytes = list_to_binary(lists:duplicate(64, $x)),
    case What of
        "pingpong" ->
            [Size] = [list_to_integer(Text) || Text <- Batch],
            Means = [batch(Size, {pong, Server}, Bytes) || _ <- lists:seq(1, N div Size)],
            io:format("~s~n", [lists:join(" ", [io_lib:format("~.3f", [Mean]) || Mean <- Means])]);
        "oneway" ->
            Begin = erlang:monotonic_time(nanosecond),
            {sink, Server} ! {count, self(), N},
            send(N, {sink, Server}, Bytes),
            receive done -> ok end,
            Took = erlang:monotonic_time(nanosecond) - Begin,
            io:format("~p~n", [N * 1000000000 / Took])
    end.

batch(Size, Pong, Bytes) ->
    Begin = erlang:monotonic_time(nanosecond),
    ping(Size, Pong, Bytes),
    (erlang:monotonic_time(nanosecond) - Begin) / Size / 1000.

ping(0, _, _) -> ok;
ping(N, Pong, Bytes) ->
    Pong ! {self(), Bytes},
    receive _ -> ping(N - 1, Pong, Bytes) end.

pong() ->
    receive {From, Bytes} -> From ! Bytes, pong() end.

send(0, _, _) -> ok;
send(N, Sink, Bytes) ->
    Sink ! Bytes,
    send(N - 1, Sink, Bytes).

sink(0) ->
    receive {count, From, N} -> count(N), From ! done, sink(0) end.

count(0) -> ok;
count(N) -> receive Bytes when is_binary(Bytes) -> count(N - 1) end.
