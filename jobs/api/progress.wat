;; progress: how far the work has come.
(module
(import "corovan" "progress" (func $progress (param i64 i64 i32 i32) (result i32)))
;;! prelude

(data (i32.const 512) "half")

(func (export "normal")
    (call $ok (call $progress (i64.const 1) (i64.const 2) (i32.const 512) (i32.const 4)))
    (call $ok (call $progress (i64.const 1) (i64.const 0) (i32.const 0) (i32.const 0)))
    (call $ok (call $progress (i64.const -1) (i64.const 1) (i32.const 512) (i32.const 4))))

(func (export "trap_pointer") (drop (call $progress (i64.const 1) (i64.const 2) (global.get $EDGE) (i32.const 2))))
(func (export "trap_text") (drop (call $progress (i64.const 1) (i64.const 2) (i32.const 160) (i32.const 2))))
)
