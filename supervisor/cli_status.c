#include "supervisor/cli.h"

int cli_status(const struct cli *cli)
{
    (void)cli;
    return CLI_FAILURE;
}
