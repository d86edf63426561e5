;; A module beside those of the suite, for spawn and swap by a module's hash: the argument `module` of README.md.
(module
    (import "corovan" "args" (func $args (param i32 i32) (result i32)))
    (import "corovan" "finish" (func $finish (param i32 i32) (result i32)))
    (import "corovan" "suspend" (func $suspend (param i64 i32 i32 i32) (result i32)))
    (import "corovan" "self" (func $self (param i32) (result i32)))
    (import "corovan" "register" (func $register (param i32 i32 i32 i64) (result i32)))
    (import "corovan" "channel_open" (func $channel_open (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "offered by another")
    ;; Gives its arguments as its result.
    (func (export "gives") (local $size i32)
        (local.set $size (call $args (i32.const 64) (i32.const 1024)))
        (if (call $finish (i32.const 64) (local.get $size)) (then unreachable)))
    (func (export "idles") (drop (call $suspend (i64.const -1) (i32.const 0) (i32.const 64) (i32.const 64))))
    ;; The other computation of `other-computation`: has a name, and a channel of the same name.
    (func (export "offers")
        (if (call $self (i32.const 64)) (then unreachable))
        (if (call $channel_open (i32.const 16) (i32.const 18) (i32.const 128)) (then unreachable))
        (if (call $register (i32.const 16) (i32.const 18) (i32.const 64) (i64.const 0)) (then unreachable))
        (drop (call $suspend (i64.const -1) (i32.const 0) (i32.const 64) (i32.const 64)))))
