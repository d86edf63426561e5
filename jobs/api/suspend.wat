;; suspend: waits for resume.
(module
;;! prelude

(data (i32.const 512) "helper_resumes")
(data (i32.const 530) "some  bytes")

(func (export "normal")
    (drop (call $child (i32.const 512) (i32.const 14)))
    (call $is (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 11))
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 11)))
    (call $is (i32.load (global.get $PART)) (i32.const 11))
    (call $is64 (i64.load offset=8 (global.get $PART)) (i64.const 0)))
(func (export "helper_resumes")
    (call $ok (call $sleep (global.get $SECOND)))
    (call $ok (call $resume (call $arg (i32.const 0)) (i32.const 530) (i32.const 11) (i64.const 0))))

;; A resume that came before is taken at once, also without waiting.
(func (export "normal_resumed_before")
    (call $ok (call $resume (call $me) (i32.const 530) (i32.const 11) (i64.const 0)))
    (call $is (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (i32.const 11))
    (call $is (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT)))

;; What does not fit is kept.
(func (export "normal_under_a_token")
    (call $ok (call $resume (call $me) (i32.const 530) (i32.const 11) (i64.const 0)))
    (call $is (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 10)) (i32.const 11))
    (call $is (i32.load (global.get $PART)) (i32.const 11))
    (call $ok (call $take (i64.load offset=8 (global.get $PART)) (global.get $BUF)))
    (call $must (call $same (global.get $BUF) (i32.const 530) (i32.const 11))))

(func (export "error_timeout") (local $before i64)
    (local.set $before (call $monotonic))
    (call $refused (call $suspend (global.get $SECOND) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $TIMEOUT))
    (call $elapsed (i64.sub (call $monotonic) (local.get $before)) (global.get $SECOND)))

(func (export "error_interrupted")
    (call $interrupter)
    (call $refused (call $suspend (global.get $FOREVER) (global.get $PART) (global.get $BUF) (global.get $CAP)) (global.get $INTERRUPTED)))

;; With 16 tokens out nothing is consumed; with one back it comes.
(func (export "error_overloaded")
    (call $tokens)
    (call $ok (call $resume (call $me) (i32.const 530) (i32.const 11) (i64.const 0)))
    (call $refused (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 10)) (global.get $OVERLOADED))
    (call $is (call $suspend (i64.const 0) (global.get $PART) (global.get $BUF) (i32.const 11)) (i32.const 11)))

(func (export "trap_pointer")
    (call $ok (call $resume (call $me) (i32.const 530) (i32.const 11) (i64.const 0)))
    (drop (call $suspend (i64.const 0) (global.get $PART) (global.get $NOWHERE) (i32.const 11))))

(func (export "trap_pointer_of_the_part")
    (call $ok (call $resume (call $me) (i32.const 530) (i32.const 11) (i64.const 0)))
    (drop (call $suspend (i64.const 0) (global.get $EDGE) (global.get $BUF) (i32.const 11))))
)
