;; channel_open: makes or finds a channel of the tenant's.
(module
(import "corovan" "channel_close" (func $channel_close (param i32) (result i32)))
;;! prelude

(data (i32.const 512) "helper_finds")

;; One name is one channel.
(func (export "normal") (local $first i32)
    (local.set $first (call $channel (i32.const 0)))
    (call $must (call $same (local.get $first) (call $channel (i32.const 0)) (i32.const 32)))
    (call $must (i32.eqz (call $same (local.get $first) (call $channel (i32.const 1)) (i32.const 32)))))

;; Others find it as well.
(func (export "normal_of_another") (local $first i32)
    (local.set $first (call $channel (i32.const 0)))
    (drop (call $child (i32.const 512) (i32.const 12)))
    (call $is (call $hear (i64.const 1)) (i32.const 32))
    (call $must (call $same (local.get $first) (global.get $BUF) (i32.const 32))))
(func (export "helper_finds")
    (call $ok (call $send (call $arg (i32.const 0)) (i64.const 1) (call $channel_of (call $arg (i32.const 0)) (i32.const 0)) (i32.const 32)
        (i64.const 0))))

;; Also one of another computation of the tenant's, whose it stays.
;;! needs other-computation
(func (export "normal_of_another_computation")
    (call $must (call $same (call $channel_of_another) (call $channel_of_another) (i32.const 32))))

;; The shortest name and the longest.
(func (export "normal_names")
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 128))
    (call $ok (call $channel_open (i32.const 16384) (i32.const 1) (call $room)))
    (call $ok (call $channel_open (i32.const 16384) (i32.const 128) (call $room))))

;; 10,000 are as many as a tenant has; one that is there is still found, and a closed one makes room.
;;! needs alone
(func (export "error_overloaded") (local $i i32)
    (loop $more
        (call $ok (call $channel_open (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 16384)))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10000))))
    (call $refused (call $channel_open (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 16416)) (global.get $OVERLOADED))
    (drop (call $channel (i32.const 0)))
    (call $ok (call $channel_close (i32.const 16384)))
    (drop (call $channel (i32.const 10000))))

;; They are charged to the tenant.
;;! needs little-held
(func (export "error_overloaded_by_the_quota") (local $i i32) (local $code i32)
    (loop $more
        (local.set $code (call $channel_open (call $name (local.get $i)) (global.get $NAME_LEN) (i32.const 16384)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.eqz (local.get $code))))
    (call $refused (local.get $code) (global.get $OVERLOADED))
    (call $must (i32.gt_u (local.get $i) (i32.const 100))))

(func (export "error_invalid")
    (call $refused (call $channel_open (i32.const 512) (i32.const 0) (i32.const 16384)) (global.get $INVALID))
    (memory.fill (i32.const 16384) (i32.const 0x61) (i32.const 129))
    (call $refused (call $channel_open (i32.const 16384) (i32.const 129) (i32.const 16384)) (global.get $INVALID)))

(func (export "trap_pointer") (drop (call $channel_open (global.get $EDGE) (i32.const 2) (i32.const 16384))))
(func (export "trap_pointer_of_the_address") (drop (call $channel_open (call $name (i32.const 0)) (global.get $NAME_LEN) (global.get $EDGE))))
(func (export "trap_text") (drop (call $channel_open (i32.const 160) (i32.const 2) (i32.const 16384))))
)
