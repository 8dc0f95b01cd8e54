/* pasgate: the TLS front door for PAS for OpenEdge.
 *
 * The program starts here: it reads the command line and runs one subcommand. `run` becomes the
 * supervisor (supervise.c) and ends when the service is told to stop. If it crashes, the
 * service ends, because its children notice, finish what they have and exit. All other
 * subcommands read the table, or send the supervisor a signal and watch the table for the
 * result. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"
#include "supervisor/launch.h"
#include "supervisor/supervise.h"

#define DEFAULT_CONF "/etc/pasgate/pasgate.conf"

static int main_run(const struct cli *cli)
{
    return supervise(cli->conf_file);
}

static int version(const struct cli *cli)
{
    (void)cli;
    printf("pasgate %s\n", PASGATE_VERSION);
    return CLI_OK;
}

enum {
    OPTION_DUMP = 1,
    OPTION_JSON = 2,
    TAKES_BACKEND = 4,
    TAKES_CERT = 16,
    OPTION_WAIT = 32,
    OPTION_FORCE = 64,
    OPTION_ROLLING = 128, /* with a pool, instead of a backend */
};

static const struct command {
    const char *name;
    int (*run)(const struct cli *);
    int takes;
    const char *usage, *help;
} commands[] = {
    {"run", main_run, 0, "run", "serve, in the foreground, until a signal ends it"},
    {"check", cli_check, OPTION_DUMP, "check [--strict]",
     "report every error in the configuration, and what is likely wrong;\n"
     "                             --strict: exit code 78 for warnings too"},
    {"check", NULL, 0, "check --dump|--manual",
     "--dump: all settings\n"
     "                             as they are in force; --manual: pasgate.conf(5)"},
    {"reload", cli_reload, 0, "reload", "load the changed configuration and report the result"},
    {"status", cli_status, OPTION_JSON, "status [--json|--watch]",
     "what runs and how it is; exit code 1 if a pool has no healthy backend or the\n"
     "                             certificate store cannot be used"},
    {"status", NULL, 0, "status --live", "the same, but exit code 1 only if no worker serves"},
    {"drain", cli_drain, TAKES_BACKEND | OPTION_WAIT, "drain B [--wait]",
     "no new sessions for backend B (a name or its number); --wait:\n"
     "                             until nothing is left there (0), or it was cut (3)"},
    {"ready", cli_ready, TAKES_BACKEND, "ready B", "end drain or maint"},
    {"maint", cli_maint, TAKES_BACKEND, "maint B", "no requests at all for backend B"},
    {"why", cli_why, TAKES_BACKEND, "why B", "what happened to backend B, when and why"},
    {"restart", cli_restart, TAKES_BACKEND | OPTION_WAIT | OPTION_FORCE | OPTION_ROLLING,
     "restart B [--wait] [--force]",
     "drain backend B, restart it, take it back when it is healthy; --wait: report\n"
     "                             each step, and by the exit code whether it came back;\n"
     "                             --force: even if fewer than min_healthy would be left"},
    {"restart", NULL, 0, "restart --rolling POOL", "all of a pool, one after the other"},
    {"cert", cli_cert, TAKES_CERT | OPTION_FORCE, "cert VERB [N]",
     "certificates: list; renew N|--all [--force], now; rollback N, to the\n"
     "                             generation before the live one; revoke N [--reason R];\n"
     "                             import [DIR] [--dry-run], from certbot; import FILE [N],\n"
     "                             of PKCS #12 or PEM; rollover and\n"
     "                             deactivate --force, the account; delete N --force, one\n"
     "                             that is not configured any more, from the store"},
    {"version", version, 0, "version", "print the version"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void help(FILE *out)
{
    fprintf(out, "usage: pasgate COMMAND [-c FILE]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-26s %s\n", commands[i].usage, commands[i].help);
    fprintf(out, "\n  -c FILE                    the configuration (" DEFAULT_CONF ")\n"
                 "\n"
                 "Signals to the process of `run`: TERM stops gracefully, INT at once, HUP\n"
                 "reloads, USR1 reopens the log files.\n"
                 "Exit codes: 0 good, 1 failed, 2 wrong usage, 3 a drain was cut, 78 wrong\n"
                 "configuration.\n");
}

static int main_usage(const char *what, const char *detail)
{
    fprintf(stderr, "pasgate: %s%s\nTry `pasgate help`.\n", what, detail);
    return CLI_USAGE;
}

static const struct command *main_find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Reads the options and arguments after the command's name. 0 or an exit code. */
static int read_options(int argc, char **argv, const struct command *command, struct cli *cli)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"dump", no_argument, NULL, 'd'},
        {"manual", no_argument, NULL, 'm'},
        {"strict", no_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"watch", no_argument, NULL, 'w'},
        {"live", no_argument, NULL, 'l'},
        {"force", no_argument, NULL, 'f'},
        {"wait", no_argument, NULL, 'W'},
        {"rolling", required_argument, NULL, 'r'},
        {"reason", required_argument, NULL, 'R'},
        {"dry-run", no_argument, NULL, 'n'},
        {"all", no_argument, NULL, 'a'},
        {"key", required_argument, NULL, 'k'},
        {"password-file", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'c')
            cli->conf_file = optarg;
        else if (c == 'd' && command->takes & OPTION_DUMP)
            cli->dump = true;
        else if (c == 's' && command->takes & OPTION_DUMP)
            cli->strict = true;
        else if (c == 'm' && command->takes & OPTION_DUMP)
            cli->manual = true;
        else if (c == 'j' && command->takes & OPTION_JSON)
            cli->json = true;
        else if (c == 'w' && command->takes & OPTION_JSON)
            cli->watch = true;
        else if (c == 'l' && command->takes & OPTION_JSON)
            cli->live = true;
        else if (c == 'f' && command->takes & OPTION_FORCE)
            cli->force = true;
        else if (c == 'W' && command->takes & OPTION_WAIT)
            cli->wait = true;
        else if (c == 'r' && command->takes & OPTION_ROLLING)
            cli->pool = optarg;
        else if (c == 'n' && command->takes & TAKES_CERT)
            cli->dry_run = true;
        else if (c == 'a' && command->takes & TAKES_CERT)
            cli->all = true;
        else if (c == 'k' && command->takes & TAKES_CERT)
            cli->key = optarg;
        else if (c == 'p' && command->takes & TAKES_CERT)
            cli->password = optarg;
        else if (c == 'R' && command->takes & TAKES_CERT)
            cli->reason = optarg;
        else if (c == 'h')
            return help(stdout), exit(CLI_OK), CLI_OK;
        else
            return c == '?' ? CLI_USAGE
                            : main_usage(command->name, ": unknown option for this command");
    }
    if (command->takes & TAKES_CERT && optind < argc)
        cli->verb = argv[optind++];
    if (command->takes & TAKES_CERT && optind < argc)
        cli->name = argv[optind++];
    if (cli->verb && strcmp(cli->verb, "import") == 0 && optind < argc)
        cli->second = argv[optind++];
    if (command->takes & TAKES_BACKEND && optind < argc)
        cli->backend = argv[optind++];
    if (command->takes & TAKES_BACKEND && !cli->backend && !cli->pool)
        return main_usage(command->name, ": which backend? Give its name or number");
    if (optind < argc)
        return main_usage("unexpected argument: ", argv[optind]);
    return CLI_OK;
}

/* Makes the path absolute, so that the command line finds the service by it. Symbolic links are
 * not resolved: a reload follows a link that points elsewhere by then. */
static const char *absolute(const char *file)
{
    static char path[PATH_MAX];
    char cwd[PATH_MAX];

    while (strncmp(file, "./", 2) == 0)
        file += 2;
    if (*file == '/' || !getcwd(cwd, sizeof cwd) ||
        snprintf(path, sizeof path, "%s/%s", cwd, file) >= (int)sizeof path)
        return file;
    return path;
}

int main(int argc, char **argv)
{
    struct cli cli = {.conf_file = DEFAULT_CONF};

    launch_init(argc, argv);
    if (argc < 2) {
        help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        help(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return version(&cli);
    const struct command *command = main_find(argv[1]);
    if (!command)
        return main_usage("unknown command: ", argv[1]);
    int code = read_options(argc - 1, argv + 1, command, &cli);
    if (code != CLI_OK)
        return code;
    cli.conf_file = absolute(cli.conf_file);
    return command->run(&cli);
}
