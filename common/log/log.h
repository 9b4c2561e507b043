/* common/log/log.h - one line an event: time level program message key=value...
 *
 *     pen_log(PEN_LOG_INFO, "agent connected", "agent=%s link=%" PRIu64, id, link);
 *
 * Libraries return errors; only threads' loops and main programs log, and each failure once.
 * Control characters in values are escaped. Goes to standard error; safe from any thread.
 */
#ifndef PEN_COMMON_LOG_LOG_H
#define PEN_COMMON_LOG_LOG_H

enum pen_log_level { PEN_LOG_DEBUG, PEN_LOG_INFO, PEN_LOG_WARNING, PEN_LOG_ERROR };

/* Name of the program in each line, and the lowest level that is written. Call once, at start. */
void pen_log_init(const char *program, enum pen_log_level lowest);

/* Write one line. format makes the key=value part and may be NULL. */
void pen_log(enum pen_log_level level, const char *message, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
