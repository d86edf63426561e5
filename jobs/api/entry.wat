;; entry: the name of the function that `_start` is to run; empty where the function itself is called.
(module
;;! prelude

(func (export "normal")
    (call $ok (call $entry (global.get $BUF) (global.get $CAP)))
    (call $ok (call $entry (global.get $BUF) (i32.const 0))))

(func (export "trap_pointer") (drop (call $entry (global.get $NOWHERE) (i32.const 8))))
)
