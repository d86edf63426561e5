;; channel_send: sends to all who are subscribed.
(module
(import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
(import "corovan" "channel_transform" (func $channel_transform (param i32 i32 i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_hears")
(data (i32.const 550) "helper_sends")

(func $publish (param $channel i32) (param $tag i64) (param $timeout i64) (result i32)
    (call $channel_send (local.get $channel) (local.get $tag) (i32.const 512) (i32.const 11) (local.get $timeout)))

;; All get it, as it was and in the order in which it was sent.
(func (export "normal") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $listen (local.get $channel) (call $child (i32.const 530) (i32.const 12)) (i32.const 10) (i32.const 2))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (global.get $FOREVER)))
    (call $ok (call $publish (local.get $channel) (i64.const 2) (i64.const 0)))
    ;; They are in the mailbox when the call returns.
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (i32.const 11))
    (call $is64 (i64.load offset=8 (global.get $MESSAGE)) (i64.const 1))
    (call $ok (i32.load offset=4 (global.get $MESSAGE)))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $channel) (i32.const 32)))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $ok (call $hear (i64.const 3))))
(func (export "helper_hears")
    (call $is (call $hear (i64.const 1)) (i32.const 11))
    (call $is (call $hear (i64.const 2)) (i32.const 11))
    (call $say (call $arg (i32.const 0)) (i64.const 3)))

;; To nobody, and to one that has ended.
(func (export "normal_nobody") (local $channel i32) (local $who i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (i64.const 0)))
    (local.set $who (call $idler))
    (call $listen (local.get $channel) (local.get $who) (i32.const 1) (i32.const 2))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (i64.const 0)))
    (call $ok (call $publish (local.get $channel) (i64.const 2) (i64.const 0))))

;; Nothing, and the most.
(func (export "normal_sizes") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $channel_send (local.get $channel) (i64.const -1) (i32.const 0) (i32.const 0) (i64.const 0)))
    (i32.store8 (i32.const 1114111) (i32.const 0x77))
    (call $ok (call $channel_send (local.get $channel) (i64.const 2) (i32.const 65536) (i32.const 1048576) (i64.const 0)))
    (call $ok (call $hear (i64.const -1)))
    (call $is (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (i32.const 1200000) (i32.const 1048576)) (i32.const 1048576))
    (call $is (i32.load8_u (i32.const 2248575)) (i32.const 0x77)))

;; Anybody of the tenant's may.
;;! needs other-computation
(func (export "normal_of_another_computation")
    (call $ok (call $publish (call $channel_of_another) (i64.const 1) (global.get $FOREVER))))

(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $publish (local.get $channel) (i64.const 1) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $publish (call $forged) (i64.const 1) (global.get $FOREVER)) (global.get $GONE))
    (call $refused (call $publish (call $me) (i64.const 1) (global.get $FOREVER)) (global.get $GONE)))
;;! needs earlier-node
(func (export "error_gone_stale")
    (call $refused (call $publish (call $arg (i32.const 0)) (i64.const 1) (global.get $FOREVER)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied")
    (call $refused (call $publish (call $arg (i32.const 0)) (i64.const 1) (global.get $FOREVER)) (global.get $DENIED)))

;; Another's message is on its way, and stays there: who takes it has room for one, and reads none.
(func (export "error_overloaded") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (i64.const 0)))
    (drop (call $child (i32.const 550) (i32.const 12)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $refused (call $publish (local.get $channel) (i64.const 3) (i64.const 0)) (global.get $OVERLOADED)))
(func (export "helper_sends")
    (drop (call $publish (call $channel_of (call $arg (i32.const 0)) (i32.const 0)) (i64.const 2) (global.get $FOREVER))))

;; A function that sees the message takes time.
(func (export "error_overloaded_by_a_transform") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_transform (local.get $channel) (i32.const 0) (i32.const 64) (i32.const 11)))
    (call $refused (call $publish (local.get $channel) (i64.const 1) (i64.const 0)) (global.get $OVERLOADED)))

;; A message is charged to the tenant once, whoever has it.
;;! needs little-held
(func (export "error_overloaded_by_the_quota")
    (call $refused (call $channel_send (call $channel (i32.const 0)) (i64.const 2) (i32.const 65536) (i32.const 1048576) (global.get $FOREVER))
        (global.get $OVERLOADED)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $channel_send (call $channel (i32.const 0)) (i64.const 2) (i32.const 0) (global.get $LARGE) (i64.const 0)) (global.get $TOO_LARGE))
    (call $refused (call $channel_send (call $channel (i32.const 0)) (i64.const 2) (i32.const 0) (i32.const -1) (i64.const 0)) (global.get $TOO_LARGE)))

;; The one who holds it up does not get it, the others do.
(func (export "error_timeout") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (i64.const 0)))
    (local.set $before (call $monotonic))
    (call $refused (call $publish (local.get $channel) (i64.const 2) (global.get $SECOND)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND))
    (call $is (call $hear (i64.const 1)) (i32.const 11))
    (call $is (call $hear (i64.const 2)) (i32.const 11)))

;; Nobody waits for itself.
(func (export "error_timeout_itself") (local $channel i32) (local $before i64)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 1) (i32.const 2))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (global.get $FOREVER)))
    (local.set $before (call $monotonic))
    (call $refused (call $publish (local.get $channel) (i64.const 2) (global.get $FOREVER)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.const 0)))

;;! needs other-node
(func (export "error_node_lost")
    (call $refused (call $publish (call $arg (i32.const 0)) (i64.const 1) (global.get $FOREVER)) (global.get $NODE_LOST)))

(func (export "error_interrupted") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $idler) (i32.const 1) (i32.const 2))
    (call $ok (call $publish (local.get $channel) (i64.const 1) (i64.const 0)))
    (call $interrupter)
    (call $refused (call $publish (local.get $channel) (i64.const 2) (global.get $FOREVER)) (global.get $INTERRUPTED)))

;; The function that was to see it failed: nobody gets it, and the next one is not harmed.
(func (export "error_invalid") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $channel_transform (local.get $channel) (i32.const 0) (i32.const 80) (i32.const 12)))
    (call $refused (call $publish (local.get $channel) (i64.const 1) (global.get $FOREVER)) (global.get $INVALID))
    (call $ok (call $channel_transform (local.get $channel) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $ok (call $publish (local.get $channel) (i64.const 2) (global.get $FOREVER)))
    (call $is (call $hear (i64.const 2)) (i32.const 11)))

(func (export "trap_pointer") (drop (call $channel_send (call $channel (i32.const 0)) (i64.const 2) (global.get $EDGE) (i32.const 2) (i64.const 0))))
(func (export "trap_pointer_of_the_channel") (drop (call $publish (global.get $EDGE) (i64.const 1) (i64.const 0))))
)
