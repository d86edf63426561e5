module github.com/corovan/corovan/guest-sdk/go

go 1.24
