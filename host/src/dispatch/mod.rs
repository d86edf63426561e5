//! Jobs: admission, start, end, exactly one exit each.
