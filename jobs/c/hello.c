/* hello, in C: an ordinary WASI command, unmodified by Corovan. Shows argv, environment, stdin, stdout, stderr, sleep and
 * exit code; `hello` in Rust and Go takes the same options and prints the same lines.
 *
 *   hello [--cat] [--sleep MS] [--err TEXT] [--exit N] [anything else is only printed]
 *
 * Options act in the order given; --exit ends the program. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern char **environ;

/* The value after option `args[i]`, or an explanation and exit code 2. */
static const char *value_of(int count, char **args, int i) {
  if (i + 1 < count) return args[i + 1];
  fprintf(stderr, "hello: %s needs a value\n", args[i]);
  exit(2);
}

static long number_of(int count, char **args, int i) {
  const char *text = value_of(count, args, i);
  char *end = NULL;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (errno == 0 && end != text && *end == '\0' && number >= 0) return number;
  fprintf(stderr, "hello: %s needs a whole number, found \"%s\"\n", args[i], text);
  exit(2);
}

static void cat(void) {
  char buffer[4096];
  size_t size;
  while ((size = fread(buffer, 1, sizeof buffer, stdin)) > 0) fwrite(buffer, 1, size, stdout);
  fflush(stdout);
}

/* What was printed before a pause must be seen before it: stdout of a WASI command may be fully buffered. */
static void pause_for(long milliseconds) {
  fflush(stdout);
  struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1000000L};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

int main(int count, char **args) {
  printf("hello from C\n");
  for (int i = 1; i < count; i++) printf("arg %d: %s\n", i, args[i]);
  for (char **variable = environ; variable && *variable; variable++) printf("env %s\n", *variable);

  for (int i = 1; i < count; i++) {
    if (strcmp(args[i], "--cat") == 0) {
      cat();
    } else if (strcmp(args[i], "--sleep") == 0) {
      pause_for(number_of(count, args, i));
      i++;
    } else if (strcmp(args[i], "--err") == 0) {
      fflush(stdout);
      fprintf(stderr, "%s\n", value_of(count, args, i));
      i++;
    } else if (strcmp(args[i], "--exit") == 0) {
      return (int)number_of(count, args, i);
    }
  }
  return 0;
}
