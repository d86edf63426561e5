;; channel_deliver: waits for so many subscribers, sends to all, and says how many have it.
(module
(import "corovan" "channel_deliver" (func $channel_deliver (param i32 i64 i32 i32 i32 i64) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
(import "corovan" "channel_transform" (func $channel_transform (param i32 i32 i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_comes_late")
(data (i32.const 550) "helper_closes")

(func $publish (param $channel i32) (param $n i32) (param $timeout i64) (result i32)
    (call $channel_deliver (local.get $channel) (i64.const 7) (i32.const 512) (i32.const 11) (local.get $n) (local.get $timeout)))
(func $nothing_is_left
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; All who are there have it, also if that is more than were wanted.
(func (export "normal") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $is (call $publish (local.get $channel) (i32.const 0) (i64.const 0)) (i32.const 0))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $listen (local.get $channel) (call $idler) (i32.const 10) (i32.const 2))
    (call $is (call $publish (local.get $channel) (i32.const 0) (i64.const 0)) (i32.const 2))
    (call $is (call $publish (local.get $channel) (i32.const 2) (global.get $FOREVER)) (i32.const 2))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $channel) (i32.const 32)))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $nothing_is_left))

;; Those of channels below are counted as well, the channels are not.
(func (export "normal_channels") (local $upper i32) (local $lower i32)
    (local.set $upper (call $channel (i32.const 0)))
    (local.set $lower (call $channel (i32.const 1)))
    (call $listen (local.get $upper) (local.get $lower) (i32.const 10) (i32.const 0))
    (call $listen (local.get $upper) (call $idler) (i32.const 10) (i32.const 0))
    (call $listen (local.get $lower) (call $me) (i32.const 10) (i32.const 0))
    (call $is (call $publish (local.get $upper) (i32.const 2) (global.get $FOREVER)) (i32.const 2))
    (call $is (call $publish (local.get $upper) (i32.const 3) (i64.const 0)) (i32.const 0)))

;; Who comes while it waits gets it.
(func (export "normal_waits") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (local.set $before (call $monotonic))
    (drop (call $child (i32.const 530) (i32.const 17)))
    (call $is (call $publish (local.get $channel) (i32.const 1) (global.get $FOREVER)) (i32.const 1))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $ok (call $hear (i64.const 8))))
(func (export "helper_comes_late")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $listen (call $channel_of (call $arg (i32.const 0)) (i32.const 0)) (call $me) (i32.const 1) (i32.const 0))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $say (call $arg (i32.const 0)) (i64.const 8)))

;; Not so many in time: nobody gets it.
(func (export "normal_too_few") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (local.set $before (call $monotonic))
    (call $is (call $publish (local.get $channel) (i32.const 2) (global.get $SECOND)) (i32.const 0))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $is (call $publish (local.get $channel) (i32.const -1) (i64.const 0)) (i32.const 0))
    (call $nothing_is_left))

;; They are there, and not all have room in time.
(func (export "normal_fewer_have_it") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $is (call $publish (local.get $channel) (i32.const 2) (global.get $SECOND)) (i32.const 2))
    (local.set $before (call $monotonic))
    (call $is (call $publish (local.get $channel) (i32.const 2) (global.get $SECOND)) (i32.const 1))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $publish (local.get $channel) (i32.const 0) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $publish (call $forged) (i32.const 0) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $publish (call $me) (i32.const 0) (global.get $FOREVER)) (global.get $GONE)))
;; Also while it waits for subscribers.
(func (export "error_gone_while_waiting") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (drop (call $child (i32.const 550) (i32.const 13)))
    (call $refused (call $publish (local.get $channel) (i32.const 1) (global.get $FOREVER)) (global.get $GONE)))
(func (export "helper_closes")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $channel_close (call $channel_of (call $arg (i32.const 0)) (i32.const 0)))))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $publish (call $arg (i32.const 0)) (i32.const 0) (global.get $FOREVER)) (global.get $DENIED)))

;; A function that sees the message takes time.
(func (export "error_overloaded") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_transform (local.get $channel) (i32.const 0) (i32.const 64) (i32.const 11)))
    (call $refused (call $publish (local.get $channel) (i32.const 0) (i64.const 0)) (global.get $OVERLOADED)))
;;! needs little-held
(func (export "error_overloaded_by_the_quota")
    (call $refused (call $channel_deliver (call $channel (i32.const 0)) (i64.const 2) (i32.const 65536) (i32.const 1048576) (i32.const 0)
        (global.get $FOREVER)) (global.get $OVERLOADED)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $channel_deliver (call $channel (i32.const 0)) (i64.const 2) (i32.const 0) (global.get $LARGE) (i32.const 0) (i64.const 0))
        (global.get $TOO_LARGE)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $publish (call $arg (i32.const 0)) (i32.const 0) (global.get $FOREVER)) (global.get $NODE_LOST)))

;; While it waits for subscribers, and for their room.
(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $publish (call $channel (i32.const 0)) (i32.const 1) (global.get $FOREVER)) (global.get $INTERRUPTED)))
(func (export "error_interrupted_later") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (call $is (call $publish (local.get $channel) (i32.const 1) (i64.const 0)) (i32.const 1))
    (call $interrupter)
    (call $refused (call $publish (local.get $channel) (i32.const 1) (global.get $FOREVER)) (global.get $INTERRUPTED)))

;; The function that was to see it failed.
(func (export "error_invalid") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $channel_transform (local.get $channel) (i32.const 0) (i32.const 80) (i32.const 12)))
    (call $refused (call $publish (local.get $channel) (i32.const 1) (global.get $FOREVER)) (global.get $INVALID))
    (call $nothing_is_left))

(func (export "trap_pointer")
    (drop (call $channel_deliver (call $channel (i32.const 0)) (i64.const 2) (global.get $EDGE) (i32.const 2) (i32.const 0) (i64.const 0))))
(func (export "trap_pointer_of_the_channel") (drop (call $publish (global.get $EDGE) (i32.const 0) (i64.const 0))))
)
