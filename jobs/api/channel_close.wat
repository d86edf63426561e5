;; channel_close: ends a channel and all subscriptions to it.
(module
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
(import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
;;! prelude

(data (i32.const 512) "helper_closes")

(func $publish (param $channel i32) (param $tag i64) (result i32)
    (call $channel_send (local.get $channel) (local.get $tag) (i32.const 0) (i32.const 0) (global.get $FOREVER)))

;; What came before stays. Its name is then free for another, which has no subscribers.
(func (export "normal") (local $channel i32) (local $next i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $publish (local.get $channel) (i64.const 1)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $publish (local.get $channel) (i64.const 2)) (global.get $GONE))
    (local.set $next (call $channel (i32.const 0)))
    (call $must (i32.eqz (call $same (local.get $channel) (local.get $next) (i32.const 32))))
    (call $ok (call $publish (local.get $next) (i64.const 3)))
    (call $ok (call $hear (i64.const 1)))
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; The channel that it was subscribed to goes on.
(func (export "normal_subscribed") (local $upper i32) (local $lower i32)
    (local.set $upper (call $channel (i32.const 0)))
    (local.set $lower (call $channel (i32.const 1)))
    (call $listen (local.get $upper) (local.get $lower) (i32.const 1) (i32.const 2))
    (call $listen (local.get $upper) (call $me) (i32.const 1) (i32.const 0))
    (call $ok (call $channel_close (local.get $lower)))
    (call $ok (call $publish (local.get $upper) (i64.const 1)))
    (call $ok (call $hear (i64.const 1))))

;; Who waits to send is told, once the message before is over.
(func (export "normal_lets_the_publisher_go") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (local.set $before (call $monotonic))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (drop (call $child (i32.const 512) (i32.const 13)))
    (call $ok (call $publish (local.get $channel) (i64.const 1)))
    (call $ok (call $publish (local.get $channel) (i64.const 2)))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $refused (call $publish (local.get $channel) (i64.const 3)) (global.get $GONE)))
(func (export "helper_closes")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $channel_close (call $channel_of (call $arg (i32.const 0)) (i32.const 0)))))

(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $channel_close (local.get $channel)) (global.get $GONE))
    (call $refused (call $channel_close (call $forged)) (global.get $GONE))
    (call $refused (call $channel_close (call $me)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $channel_close (call $arg (i32.const 0))) (global.get $DENIED)))

;; Only the computation whose it is.
;;! needs other-computation
(func (export "error_denied_another_computation") (call $refused (call $channel_close (call $channel_of_another)) (global.get $DENIED)))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $channel_close (call $arg (i32.const 0))) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $channel_close (global.get $EDGE))))
)
