module github.com/corovan/corovan/jobs/go

go 1.24

require github.com/corovan/corovan/guest-sdk/go v0.0.0

replace github.com/corovan/corovan/guest-sdk/go => ../../guest-sdk/go
