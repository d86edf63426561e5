module corovan.dev/jobs

go 1.24
