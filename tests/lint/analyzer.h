/* tests/lint/analyzer.h - read by clang-tidy before every file but error.c
 *
 * Its analyzer looks at one file at a time, so it does not know that these functions return a
 * negative number, and follows paths that cannot be. */
#include "common/base/error.h"

#define pen_fail(...)       ((void)(pen_fail)(__VA_ARGS__), -1)
#define pen_fail_api(...)   ((void)(pen_fail_api)(__VA_ARGS__), -1)
#define pen_fail_errno(...) ((void)(pen_fail_errno)(__VA_ARGS__), -1)
