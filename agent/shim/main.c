/* penstock-shim: starts and keeps attempts for penstock-agent; not for people to call. */
#include <stdio.h>
#include <string.h>

#include "agent/shim/shim.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("penstock-shim %s\n", PEN_VERSION);
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "variables") == 0)
        return pen_shim_variables(argv[2], argv + 3);
    if (argc != 2 || strcmp(argv[1], "starter") != 0) {
        (void)fprintf(stderr, "penstock-shim is started by penstock-agent\n");
        return 2;
    }
    return pen_starter_run(0); /* the agent's socket is our standard input */
}
