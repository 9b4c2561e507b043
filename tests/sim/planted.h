/* tests/sim/planted.h - bugs in the engine that a planted build can switch on */
#ifndef PEN_TESTS_SIM_PLANTED_H
#define PEN_TESTS_SIM_PLANTED_H

#include <stdbool.h>

/* Bugs in the simulator's own seams are numbered first (enum sim_plant), those in the engine
 * follow. False: there is none of this number, or it is in the engine and this program's engine is
 * the one that ships. */
bool planted_select(int number);

/* NULL: there is none of this number. */
const char *planted_name(int number);

#endif
