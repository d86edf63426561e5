;; register: gives an address a name within the tenant.
(module
(import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
(import "corovan" "locate" (func $locate (param i32 i32 i64 i32) (result i32)))
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_finds")

(func $give (param $i i32) (param $who i32) (result i32)
    (call $register (call $name (local.get $i)) (global.get $NAME_LEN) (local.get $who) (i64.const 0)))
(func $holder_is (param $i i32) (param $who i32)
    (call $ok (call $locate (call $name (local.get $i)) (global.get $NAME_LEN) (i64.const 0) (i32.const 16384)))
    (call $must (call $same (i32.const 16384) (local.get $who) (i32.const 32))))
(func $nobody_has (param $i i32)
    (call $refused (call $locate (call $name (local.get $i)) (global.get $NAME_LEN) (i64.const 0) (i32.const 16384)) (global.get $TIMEOUT)))

;; Oneself, under several names, and once more under the same, which changes nothing.
(func (export "normal") (local $me i32)
    (local.set $me (call $me))
    (call $ok (call $give (i32.const 0) (local.get $me)))
    (call $ok (call $give (i32.const 1) (local.get $me)))
    (call $ok (call $give (i32.const 0) (local.get $me)))
    (call $holder_is (i32.const 0) (local.get $me))
    (call $holder_is (i32.const 1) (local.get $me)))

;; Others find it.
(func (export "normal_found") (local $me i32)
    (local.set $me (call $me))
    (call $ok (call $give (i32.const 0) (local.get $me)))
    (drop (call $child (i32.const 512) (i32.const 12)))
    (call $ok (call $hear (i64.const 1))))
(func (export "helper_finds")
    (call $ok (call $locate (call $name_of (call $arg (i32.const 0)) (i32.const 0)) (global.get $NAME_LEN) (i64.const 0) (i32.const 16384)))
    (call $say (i32.const 16384) (i64.const 1)))

;; Another, until it ends.
(func (export "normal_another") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $give (i32.const 0) (local.get $who)))
    (call $holder_is (i32.const 0) (local.get $who))
    (call $ok (call $terminate (local.get $who) (global.get $FOREVER)))
    (call $nobody_has (i32.const 0))
    (call $ok (call $give (i32.const 0) (call $me))))

;; A channel, until it is closed.
(func (export "normal_channel") (local $channel i32)
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $give (i32.const 0) (local.get $channel)))
    (call $holder_is (i32.const 0) (local.get $channel))
    (call $ok (call $channel_close (local.get $channel)))
    (call $nobody_has (i32.const 0)))

;; One of another computation. The name is then one of that computation.
;;! needs other-computation
(func (export "normal_of_another_computation")
    (call $ok (call $give (i32.const 0) (call $arg (i32.const 0))))
    (call $holder_is (i32.const 0) (call $arg (i32.const 0))))

;; The shortest name and the longest.
(func (export "normal_names")
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 128))
    (call $ok (call $register (i32.const 16384) (i32.const 1) (call $me) (i64.const 0)))
    (call $ok (call $register (i32.const 16384) (i32.const 128) (call $me) (i64.const 0)))
    (call $refused (call $register (i32.const 16384) (i32.const 1) (call $idler) (i64.const 0)) (global.get $TAKEN)))

;; It stays with who has it.
(func (export "error_taken") (local $who i32)
    (local.set $who (call $idler))
    (call $ok (call $give (i32.const 0) (local.get $who)))
    (call $refused (call $give (i32.const 0) (call $me)) (global.get $TAKEN))
    (call $refused (call $give (i32.const 0) (call $channel (i32.const 0))) (global.get $TAKEN))
    (call $holder_is (i32.const 0) (local.get $who)))

(func (export "error_gone") (local $channel i32)
    (call $refused (call $give (i32.const 0) (call $ended)) (global.get $GONE))
    (call $refused (call $give (i32.const 0) (call $forged)) (global.get $GONE))
    (local.set $channel (call $channel (i32.const 0)))
    (call $ok (call $channel_close (local.get $channel)))
    (call $refused (call $give (i32.const 0) (local.get $channel)) (global.get $GONE)))
;;! needs earlier-node
(func (export "error_gone_stale") (call $refused (call $give (i32.const 0) (call $arg (i32.const 0))) (global.get $GONE)))

;;! needs other-tenant
(func (export "error_denied") (call $refused (call $give (i32.const 0) (call $arg (i32.const 0))) (global.get $DENIED)))

;; 10,000 are as many as a tenant has.
;;! needs alone
(func (export "error_overloaded") (local $i i32) (local $me i32)
    (local.set $me (call $me))
    (loop $more
        (call $ok (call $give (local.get $i) (local.get $me)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000))))
    (call $refused (call $give (local.get $i) (local.get $me)) (global.get $OVERLOADED))
    (call $ok (call $give (i32.const 0) (local.get $me))))

(func (export "error_invalid")
    (call $refused (call $register (i32.const 512) (i32.const 0) (call $me) (i64.const 0)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $register (i32.const 16384) (i32.const 129) (call $me) (i64.const 0)) (global.get $INVALID)))

;;! needs other-node
(func (export "error_node_lost") (call $refused (call $give (i32.const 0) (call $arg (i32.const 0))) (global.get $NODE_LOST)))

(func (export "trap_pointer") (drop (call $register (global.get $EDGE) (i32.const 2) (call $me) (i64.const 0))))
(func (export "trap_pointer_of_the_address") (drop (call $give (i32.const 0) (global.get $EDGE))))
(func (export "trap_text") (drop (call $register (i32.const 160) (i32.const 2) (call $me) (i64.const 0))))
)
