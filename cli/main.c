/* penstock: the command line. Everything is in the room's library; see cli.h. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return pen_cli_main(argc, argv);
}
