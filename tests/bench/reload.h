/* tests/bench/reload.h - how long a controller takes from the opened store to serving */
#ifndef PEN_TESTS_BENCH_RELOAD_H
#define PEN_TESTS_BENCH_RELOAD_H

/* For 1,000 active executions beside 100,000 and 1,000,000 finished ones. The stores are made in
 * `folder` when they are not there yet, and stay there. */
void bench_reload(const char *folder);

#endif
