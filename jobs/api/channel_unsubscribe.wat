;; channel_unsubscribe: ends a subscription.
(module
(import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
(import "corovan" "channel_unsubscribe" (func $channel_unsubscribe (param i32 i32 i64) (result i32)))
;;! prelude

(data (i32.const 512) "helper_leaves")

(func $publish (param $channel i32) (param $tag i64)
    (call $ok (call $channel_send (local.get $channel) (local.get $tag) (i32.const 0) (i32.const 0) (global.get $FOREVER))))
(func $leave (param $channel i32) (param $who i32) (result i32)
    (call $channel_unsubscribe (local.get $channel) (local.get $who) (i64.const 0)))

;; What came before stays.
(func (export "normal") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $publish (local.get $channel) (i64.const 1))
    (call $ok (call $leave (local.get $channel) (call $me)))
    (call $publish (local.get $channel) (i64.const 2))
    (call $ok (call $hear (i64.const 1)))
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; A channel: then the way to it is free for the other direction.
(func (export "normal_channel") (local $a i32) (local $b i32)
    (local.set $a (call $channel (i32.const 0)))
    (local.set $b (call $channel (i32.const 1)))
    (call $listen (local.get $a) (local.get $b) (i32.const 1) (i32.const 0))
    (call $ok (call $leave (local.get $a) (local.get $b)))
    (call $listen (local.get $b) (local.get $a) (i32.const 1) (i32.const 0)))

;; Who sends is held up no longer.
(func (export "normal_lets_the_publisher_go") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (local.set $before (call $monotonic))
    (call $listen (local.get $channel) (call $child (i32.const 512) (i32.const 13)) (i32.const 1) (i32.const 2))
    (call $publish (local.get $channel) (i64.const 1))
    (call $publish (local.get $channel) (i64.const 2))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))
(func (export "helper_leaves")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $leave (call $channel_of (call $arg (i32.const 0)) (i32.const 0)) (call $me)))
    (drop (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP))))

(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $leave (local.get $channel) (call $me)) (global.get $GONE))
    (call $refused (call $leave (call $forged) (call $me)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $leave (call $arg (i32.const 0)) (call $me)) (global.get $DENIED)))

;; Never, not any more, or ended.
(func (export "error_not_found") (local $channel i32) (local $who i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $refused (call $leave (local.get $channel) (call $me)) (global.get $NOT_FOUND))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $leave (local.get $channel) (call $me)))
    (call $refused (call $leave (local.get $channel) (call $me)) (global.get $NOT_FOUND))
    (local.set $who (call $idler))
    (call $listen (local.get $channel) (local.get $who) (i32.const 10) (i32.const 0))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $refused (call $leave (local.get $channel) (local.get $who)) (global.get $NOT_FOUND)))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $leave (call $arg (i32.const 0)) (call $me)) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $leave (global.get $EDGE) (call $me))))
(func (export "trap_pointer_of_the_subscriber") (drop (call $leave (call $channel (i32.const 0)) (global.get $EDGE))))
)
