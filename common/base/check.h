/* common/base/check.h - always-on assertions for our own mistakes
 *
 * CHECK stays in every build: a program that has broken its own rules stops at once and is
 * restarted from its durable state. Never use it for anything that comes from outside.
 */
#ifndef PEN_COMMON_BASE_CHECK_H
#define PEN_COMMON_BASE_CHECK_H

#include <stdbool.h>

/* Print the failed condition with its place, and abort. */
_Noreturn void pen_check_failed(const char *condition, const char *file, int line);

#define CHECK(condition) ((condition) ? (void)0 : pen_check_failed(#condition, __FILE__, __LINE__))

/* "If a then b", to be used inside CHECK. */
#define IMPLIES(a, b) (!(a) || (b))

/* A place that no input can reach. */
#define UNREACHABLE(why) pen_check_failed(why, __FILE__, __LINE__)

#endif
