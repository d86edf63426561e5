;; A module whose instances cannot start: the argument `unstartable` of README.md.
(module
    (func $start unreachable)
    (start $start)
    (func (export "gives")))
