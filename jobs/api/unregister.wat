;; unregister: gives up a name.
(module
(import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
(import "corovan" "unregister" (func $unregister (param i32 i32) (result i32)))
(import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
;;! prelude

(func $give (param $i i32) (param $who i32)
    (call $ok (call $register (call $name (local.get $i)) (global.get $NAME_LEN) (local.get $who) (i64.const 0))))
(func $give_up (param $i i32) (result i32) (call $unregister (call $name (local.get $i)) (global.get $NAME_LEN)))
(func $find (param $i i32) (result i32)
    (call $locate (call $name (local.get $i)) (global.get $NAME_LEN) (i64.const 0) (i32.const 16384)))

;; One of several; it is free for others then.
(func (export "normal")
    (call $give (i32.const 0) (call $me))
    (call $give (i32.const 1) (call $me))
    (call $ok (call $give_up (i32.const 0)))
    (call $refused (call $find (i32.const 0)) (global.get $TIMEOUT))
    (call $ok (call $find (i32.const 1)))
    (call $give (i32.const 0) (call $idler)))

;; Another's of this computation, and a channel's.
(func (export "normal_of_others")
    (call $give (i32.const 0) (call $idler))
    (call $give (i32.const 1) (call $channel (i32.const 0)))
    (call $ok (call $give_up (i32.const 0)))
    (call $ok (call $give_up (i32.const 1)))
    (call $refused (call $find (i32.const 0)) (global.get $TIMEOUT))
    (call $refused (call $find (i32.const 1)) (global.get $TIMEOUT)))

;; Never given, given up, or lost with its holder.
(func (export "error_not_found") (local $who i32)
    (call $refused (call $give_up (i32.const 0)) (global.get $NOT_FOUND))
    (call $give (i32.const 0) (call $me))
    (call $ok (call $give_up (i32.const 0)))
    (call $refused (call $give_up (i32.const 0)) (global.get $NOT_FOUND))
    (local.set $who (call $idler))
    (call $give (i32.const 0) (local.get $who))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $refused (call $give_up (i32.const 0)) (global.get $NOT_FOUND)))

;; A name of another computation, also where we gave it.
;;! needs other-computation
(func (export "error_denied")
    (call $refused (call $unregister (i32.const 192) (i32.const 18)) (global.get $DENIED))
    (call $give (i32.const 0) (call $arg (i32.const 0)))
    (call $refused (call $give_up (i32.const 0)) (global.get $DENIED))
    (call $ok (call $find (i32.const 0)))
    (call $give (i32.const 1) (call $channel_of_another))
    (call $refused (call $give_up (i32.const 1)) (global.get $DENIED)))

(func (export "error_invalid")
    (call $refused (call $unregister (i32.const 512) (i32.const 0)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $unregister (i32.const 16384) (i32.const 129)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $unregister (global.get $EDGE) (i32.const 2))))
(func (export "trap_text") (drop (call $unregister (i32.const 160) (i32.const 2))))
)
