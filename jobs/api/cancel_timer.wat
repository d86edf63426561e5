;; cancel_timer: takes a timer back.
(module
;;! prelude

(func (export "normal") (local $timer i64)
    (local.set $timer (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)))
    (call $ok (call $cancel_timer (local.get $timer)))
    (call $is (call $receive (i64.mul (global.get $SECOND) (i64.const 2)) (i32.const 0) (global.get $MESSAGE) (global.get $BUF) (global.get $CAP))
        (global.get $TIMEOUT)))

;; One to another; others stay.
(func (export "normal_to_another") (local $timer i64)
    (local.set $timer (call $send_after (global.get $SECOND) (call $idler) (i64.const 2) (i32.const 0) (i32.const 0)))
    (call $must (i64.gt_s (call $send_after (global.get $SECOND) (call $me) (i64.const 3) (i32.const 0) (i32.const 0)) (i64.const 0)))
    (call $ok (call $cancel_timer (local.get $timer)))
    (call $ok (call $hear (i64.const 3))))

;; Never set; cancelled before; sent, read or not.
(func (export "error_not_found") (local $timer i64)
    (call $refused (call $cancel_timer (i64.const 77)) (global.get $NOT_FOUND))
    (call $refused (call $cancel_timer (i64.const 0)) (global.get $NOT_FOUND))
    (call $refused (call $cancel_timer (i64.const -1)) (global.get $NOT_FOUND))
    (local.set $timer (call $send_after (global.get $SECOND) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)))
    (call $ok (call $cancel_timer (local.get $timer)))
    (call $refused (call $cancel_timer (local.get $timer)) (global.get $NOT_FOUND))
    (local.set $timer (call $send_after (i64.const 0) (call $me) (i64.const 2) (i32.const 0) (i32.const 0)))
    (call $ok (call $sleep (global.get $SECOND)))
    (call $refused (call $cancel_timer (local.get $timer)) (global.get $NOT_FOUND))
    (call $ok (call $hear (i64.const 2))))
)
