;; channel_transform: has a function see each message of a channel before it is sent on.
(module
(import "corovan" "channel_transform" (func $channel_transform (param i32 i32 i32 i32) (result i32)))
(import "corovan" "channel_send" (func $channel_send (param i32 i64 i32 i32 i64) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "some  bytes")
(data (i32.const 530) "helper_changes")
(data (i32.const 550) "helper_gives_null")
(data (i32.const 570) "gives")
(data (i32.const 580) "nobody")

(func $transform (param $channel i32) (param $name i32) (param $len i32) (result i32)
    (call $channel_transform (local.get $channel) (i32.const 0) (local.get $name) (local.get $len)))
(func $publish (param $channel i32) (param $tag i64) (result i32)
    (call $channel_send (local.get $channel) (local.get $tag) (i32.const 512) (i32.const 11) (global.get $FOREVER)))
;; A channel that we get all of, with this function.
(func $seen_by (param $name i32) (param $len i32) (result i32) (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $listen (local.get $channel) (call $me) (i32.const 10) (i32.const 0))
    (call $ok (call $transform (local.get $channel) (local.get $name) (local.get $len)))
    (local.get $channel))
(func $nothing_is_left
    (call $refused (call $receive (i64.const 0) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; What it finishes with is sent on, with the tag that it was sent with.
(func (export "normal") (local $channel i32)
    (local.set $channel (call $seen_by (i32.const 530) (i32.const 14)))
    (call $ok (call $publish (local.get $channel) (i64.const 7)))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x53))
    (call $must (call $same (i32.add (global.get $BUF) (i32.const 1)) (i32.const 513) (i32.const 10)))
    (call $must (call $same (i32.add (global.get $MESSAGE) (i32.const 32)) (local.get $channel) (i32.const 32))))
;; Its arguments are the tag, here 7, and the bytes, of which it changes the first.
(func (export "helper_changes")
    (call $is (call $args (i32.const 16384) (i32.const 64)) (i32.const 14))
    (call $is (i32.load8_u (i32.const 16384)) (i32.const 0x82))
    (call $is (i32.load8_u (i32.const 16385)) (i32.const 7))
    (call $is (i32.load8_u (i32.const 16386)) (i32.const 0x4b))
    (i32.store8 (i32.const 16387) (i32.const 0x53))
    (call $ok (call $finish (i32.const 16386) (i32.const 12))))

;; With nothing or null nothing is sent on.
(func (export "normal_withheld") (local $channel i32)
    (local.set $channel (call $seen_by (i32.const 64) (i32.const 11)))
    (call $ok (call $publish (local.get $channel) (i64.const 7)))
    (call $ok (call $transform (local.get $channel) (i32.const 550) (i32.const 17)))
    (call $ok (call $publish (local.get $channel) (i64.const 7)))
    (call $nothing_is_left))
(func (export "helper_gives_null")
    (i32.store8 (i32.const 16384) (i32.const 0xf6))
    (call $ok (call $finish (i32.const 16384) (i32.const 1))))

;; The last one that was given counts, and none is one as well.
(func (export "normal_ended") (local $channel i32)
    (local.set $channel (call $seen_by (i32.const 64) (i32.const 11)))
    (call $ok (call $transform (local.get $channel) (i32.const 0) (i32.const 0)))
    (call $ok (call $transform (local.get $channel) (i32.const 0) (i32.const 0)))
    (call $ok (call $publish (local.get $channel) (i64.const 7)))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 512) (i32.const 11))))

;; Of another module; what this one gives is an array, which can not be sent on.
;;! needs module
(func (export "normal_of_another_module") (local $channel i32)
    (local.set $channel (call $seen_by (i32.const 64) (i32.const 11)))
    (call $ok (call $channel_transform (local.get $channel) (call $arg (i32.const 0)) (i32.const 570) (i32.const 5)))
    (call $refused (call $publish (local.get $channel) (i64.const 7)) (global.get $INVALID))
    (call $nothing_is_left))

;; It has five seconds for a message.
(func (export "normal_takes_too_long") (local $channel i32) (local $before i64)
    (local.set $channel (call $seen_by (i32.const 48) (i32.const 12)))
    (local.set $before (call $monotonic))
    (call $refused (call $publish (local.get $channel) (i64.const 7)) (global.get $INVALID))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (i64.mul (global.get $SECOND) (i64.const 5)))
    (call $nothing_is_left))

(func (export "error_gone") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $transform (local.get $channel) (i32.const 64) (i32.const 11)) (global.get $GONE))
    (call $refused (call $transform (call $forged) (i32.const 0) (i32.const 0)) (global.get $GONE))
    (call $refused (call $transform (call $me) (i32.const 0) (i32.const 0)) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $transform (call $arg (i32.const 0)) (i32.const 64) (i32.const 11)) (global.get $DENIED)))

;; Only the computation whose it is; told before the function is looked for.
;;! needs other-computation
(func (export "error_denied_another_computation")
    (call $refused (call $transform (call $channel_of_another) (i32.const 580) (i32.const 6)) (global.get $DENIED))
    (call $refused (call $transform (call $channel_of_another) (i32.const 0) (i32.const 0)) (global.get $DENIED)))

;; The one before stays.
(func (export "error_unknown_function") (local $channel i32)
    (local.set $channel (call $seen_by (i32.const 530) (i32.const 14)))
    (call $refused (call $transform (local.get $channel) (i32.const 580) (i32.const 6)) (global.get $UNKNOWN_FUNCTION))
    (call $ok (call $publish (local.get $channel) (i64.const 7)))
    (call $is (call $hear (i64.const 7)) (i32.const 11))
    (call $is (i32.load8_u (global.get $BUF)) (i32.const 0x53)))

(func (export "error_need_module")
    (call $refused (call $channel_transform (call $channel (i32.const 0)) (i32.const 512) (i32.const 570) (i32.const 5)) (global.get $NEED_MODULE)))

;;! needs bad-module
(func (export "error_bad_module")
    (call $refused (call $channel_transform (call $channel (i32.const 0)) (call $arg (i32.const 0)) (i32.const 570) (i32.const 5))
        (global.get $BAD_MODULE)))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $transform (call $arg (i32.const 0)) (i32.const 64) (i32.const 11)) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $transform (call $channel (i32.const 0)) (global.get $EDGE) (i32.const 2))))
(func (export "trap_pointer_of_the_module")
    (drop (call $channel_transform (call $channel (i32.const 0)) (global.get $EDGE) (i32.const 570) (i32.const 5))))
(func (export "trap_pointer_of_the_channel") (drop (call $transform (global.get $EDGE) (i32.const 64) (i32.const 11))))
(func (export "trap_text") (drop (call $transform (call $channel (i32.const 0)) (i32.const 160) (i32.const 2))))
)
