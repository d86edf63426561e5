;; finish: records the result, one CBOR item, and goes on.
(module
;;! prelude

(data (i32.const 512) "\07\18\18\18")
(data (i32.const 520) "helper_gives")

;; It may come anywhere; what follows still runs.
(func (export "normal")
    (call $ok (call $finish (i32.const 512) (i32.const 1)))
    (call $ok (call $sleep (global.get $SECOND))))

;; The result is in the exit record, as `bytes`.
(func (export "normal_in_the_record")
    (call $ended_as (call $child (i32.const 520) (i32.const 12)) (i32.const 1))
    (call $must (call $has (global.get $BUF) (i32.load (global.get $PART)) (i32.const 540) (i32.const 8))))
(data (i32.const 540) "\65bytes\42\18")
(func (export "helper_gives") (call $ok (call $finish (i32.const 513) (i32.const 2))))

;; 512 KiB are no small result.
(func (export "normal_large")
    (i32.store8 (i32.const 65536) (i32.const 0x5a))
    (i32.store8 (i32.const 65538) (i32.const 0x08))
    (call $ok (call $finish (i32.const 65536) (i32.const 524293))))

;; A second one changes nothing.
(func (export "error_already")
    (call $ok (call $finish (i32.const 512) (i32.const 1)))
    (call $refused (call $finish (i32.const 513) (i32.const 2)) (global.get $ALREADY)))

;; Told before the pointer is looked at.
(func (export "error_too_large")
    (call $refused (call $finish (i32.const 0) (i32.const 0x1000001)) (global.get $TOO_LARGE)))

(func (export "error_invalid")
    (call $refused (call $finish (i32.const 512) (i32.const 0)) (global.get $INVALID))
    (call $refused (call $finish (i32.const 512) (i32.const 2)) (global.get $INVALID))
    (call $refused (call $finish (i32.const 513) (i32.const 1)) (global.get $INVALID))
    ;; None of these was it.
    (call $ok (call $finish (i32.const 512) (i32.const 1))))

;; What a result takes is the tenant's.
;;! needs little-held
(func (export "error_overloaded")
    (i32.store8 (i32.const 65536) (i32.const 0x5a))
    (i32.store8 (i32.const 65538) (i32.const 0x08))
    (call $refused (call $finish (i32.const 65536) (i32.const 524293)) (global.get $OVERLOADED)))

(func (export "trap_pointer") (drop (call $finish (global.get $EDGE) (i32.const 2))))
)
