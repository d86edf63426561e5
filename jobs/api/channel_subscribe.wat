;; channel_subscribe: has a coroutine or a channel get what is sent to a channel.
(module
(import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_repeats")

(func $publish (param $channel i32) (param $tag i64)
    (call $ok (call $channel_send (local.get $channel) (local.get $tag) (i32.const 512) (i32.const 11) (global.get $FOREVER))))
(func $nothing_is_left
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; What is sent there comes, from the channel.
(func (export "normal") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $publish (local.get $channel) (i64.const 7))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $ok (i32.load offset=4 (global.get $MESSAGE)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $channel) (i32.const 32)))
    (call $nothing_is_left))

;; Anybody of the tenant's can be subscribed, also by others.
(func (export "normal_another") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $child (i32.const 530) (i32.const 14)) (i32.const 10) (i32.const 0))
    (call $publish (local.get $channel) (i64.const 7))
    (call $ok (call $hear (i64.const 8)))
    (call $nothing_is_left))
(func (export "helper_repeats")
    (drop (call $hear (i64.const 7)))
    (call $say (call $arg (i32.const 0)) (i64.const 8)))

;; Of more than it has room for, the oldest go;
(func (export "normal_drop_oldest") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 2) (i32.const 0))
    (call $three (local.get $channel))
    (drop (call $hear (i64.const 2)))
    (drop (call $hear (i64.const 3)))
    (call $nothing_is_left))
;; or the newest;
(func (export "normal_drop_newest") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 2) (i32.const 1))
    (call $three (local.get $channel))
    (drop (call $hear (i64.const 1)))
    (drop (call $hear (i64.const 2)))
    (call $nothing_is_left))
(func $three (param $channel i32)
    (call $publish (local.get $channel) (i64.const 1))
    (call $publish (local.get $channel) (i64.const 2))
    (call $publish (local.get $channel) (i64.const 3)))
;; or who sends waits until one was read.
(func (export "normal_hold_publisher") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (local.set $before (call $monotonic))
    (call $listen (local.get $channel) (call $child (i32.const 128) (i32.const 27)) (i32.const 1) (i32.const 2))
    (call $publish (local.get $channel) (i64.const 1))
    (call $publish (local.get $channel) (i64.const 2))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

;; Subscribed again it has the new terms, and gets each message once.
(func (export "normal_changed") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 1) (i32.const 1))
    (call $listen (local.get $channel) (call $me) (i32.const 2) (i32.const 0))
    (call $three (local.get $channel))
    (drop (call $hear (i64.const 2)))
    (drop (call $hear (i64.const 3)))
    (call $nothing_is_left))

;; Through a channel that is subscribed to a channel; it comes from the one that one is subscribed to.
(func (export "normal_channel") (local $upper i32) (local $lower i32)
    (local.set $upper (call $channel (i32.const 0)))
    (local.set $lower (call $channel (i32.const 1)))
    (call $listen (local.get $lower) (call $me) (i32.const 10) (i32.const 0))
    (call $listen (local.get $upper) (local.get $lower) (i32.const 10) (i32.const 0))
    (call $publish (local.get $upper) (i64.const 7))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $lower) (i32.const 32)))
    (call $publish (local.get $lower) (i64.const 8))
    (drop (call $hear (i64.const 8)))
    (call $nothing_is_left))

;; A channel of another computation.
;;! needs other-computation
(func (export "normal_of_another_computation")
    (call $listen (call $channel_of_another) (call $me) (i32.const 1) (i32.const 0)))

;; The channel: closed, never there, a coroutine.
(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $subscribe (local.get $channel) (call $me)) (global.get $GONE))
    (call $refused (call $subscribe (call $forged) (call $me)) (global.get $GONE))
    (call $refused (call $subscribe (call $idler) (call $me)) (global.get $GONE)))
;; The subscriber: ended, never there, a closed channel.
(func (export "error_gone_subscriber") (local $closed i32)
    (local.set $closed (call $channel (i32.const 1)))
    (call $ok (call $channel_close (local.get $closed)))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (call $ended)) (global.get $GONE))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (call $forged)) (global.get $GONE))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (local.get $closed)) (global.get $GONE)))
;;! needs earlier-node
(func (export "error_gone_stale")
    (call $refused (call $subscribe (call $arg (i32.const 0)) (call $me)) (global.get $GONE))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (call $arg (i32.const 0))) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $subscribe (call $arg (i32.const 0)) (call $me)) (global.get $DENIED))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (call $arg (i32.const 0))) (global.get $DENIED)))

;; One computation does not hold up another.
;;! needs other-computation
(func (export "error_denied_hold_publisher")
    (call $refused (call $channel_subscribe (call $channel_of_another) (call $me) (i32.const 1) (i32.const 2) (i64.const 0))
        (global.get $DENIED)))

;; Subscriptions are charged to the tenant.
;;! needs little-held
(func (export "error_overloaded") (local $i i32) (local $code i32)
    (loop $more
        (local.set $code (call $channel_open (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 16384)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.eqz (local.get $code))))
    (local.set $i (i32.const 1))
    (loop $more
        (local.set $code (call $subscribe (call $channel (i32.const 0)) (call $channel (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.eqz (local.get $code))))
    (call $refused (local.get $code) (global.get $OVERLOADED)))

(func (export "error_cycle") (local $a i32) (local $b i32) (local $c i32)
    (local.set $a (call $channel (i32.const 0)))
    (local.set $b (call $channel (i32.const 1)))
    (local.set $c (call $channel (i32.const 2)))
    (call $ok (call $subscribe (local.get $a) (local.get $b)))
    (call $ok (call $subscribe (local.get $b) (local.get $c)))
    (call $refused (call $subscribe (local.get $c) (local.get $a)) (global.get $CYCLE))
    (call $refused (call $subscribe (local.get $a) (local.get $a)) (global.get $CYCLE)))

(func (export "error_second_path") (local $a i32) (local $b i32) (local $c i32)
    (local.set $a (call $channel (i32.const 0)))
    (local.set $b (call $channel (i32.const 1)))
    (local.set $c (call $channel (i32.const 2)))
    (call $ok (call $subscribe (local.get $a) (local.get $b)))
    (call $ok (call $subscribe (local.get $b) (local.get $c)))
    (call $refused (call $subscribe (local.get $a) (local.get $c)) (global.get $SECOND_PATH))
    ;; What is there already is no second one.
    (call $ok (call $subscribe (local.get $a) (local.get $b))))

(func (export "error_invalid") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10000) (i32.const 2))
    (call $refused (call $channel_subscribe (local.get $channel) (call $me) (i32.const 0) (i32.const 0) (i64.const 0)) (global.get $INVALID))
    (call $refused (call $channel_subscribe (local.get $channel) (call $me) (i32.const 10001) (i32.const 0) (i64.const 0)) (global.get $INVALID))
    (call $refused (call $channel_subscribe (local.get $channel) (call $me) (i32.const 1) (i32.const 3) (i64.const 0)) (global.get $INVALID)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $subscribe (call $arg (i32.const 0)) (call $me)) (global.get $NODE_LOST))
    (call $refused (call $subscribe (call $channel (i32.const 0)) (call $arg (i32.const 0))) (global.get $NODE_LOST)))

(func $subscribe (param $channel i32) (param $who i32) (result i32)
    (call $channel_subscribe (local.get $channel) (local.get $who) (i32.const 1) (i32.const 0) (i64.const 0)))

(func (export "trap_pointer") (drop (call $subscribe (global.get $EDGE) (call $me))))
(func (export "trap_pointer_of_the_subscriber") (drop (call $subscribe (call $channel (i32.const 0)) (global.get $EDGE))))
)
