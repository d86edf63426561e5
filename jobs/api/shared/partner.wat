;; A module beside those of the suite, for spawn and swap by a module's hash: the argument `module` of README.md.
(module
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "suspend" (func $suspend (param i64 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    ;; Gives its arguments as its result.
    (func (export "gives") (local $size i32)
        (local.set $size (call $args (i32.const 64) (i32.const 1024)))
        (if (call $finish (i32.const 64) (local.get $size)) (then unreachable)))
    (func (export "idles") (drop (call $suspend (i64.const -1) (i32.const 0) (i32.const 64) (i32.const 64)))))
