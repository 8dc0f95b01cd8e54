/* status CONF: prints the status of a service as `pasgate status -c CONF --json` does, with the
 * same code and exit codes. The tests look at it many times while they wait, and loading the
 * libraries of the whole program would be most of what they cost. */
#include <stdio.h>

#include "supervisor/cli/cli.h"

int main(int argc, char **argv)
{
    const struct cli cli = {.conf_file = argc == 2 ? argv[1] : NULL, .json = true};

    if (!cli.conf_file) {
        fprintf(stderr, "usage: status CONF\n");
        return CLI_USAGE;
    }
    return cli_status(&cli);
}
