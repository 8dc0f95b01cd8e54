/* pasgate: the TLS front door for PAS for OpenEdge.
 *
 * The program starts here: it reads the command line and runs one subcommand. `run` becomes the
 * supervisor (supervise.c) and ends when the service is told to stop. If it crashes, the
 * service ends, because its children notice, finish what they have and exit. All other
 * subcommands read the table, or send the supervisor a signal and watch the table for the
 * result. */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "supervisor/cli/cli.h"
#include "supervisor/launch.h"
#include "supervisor/supervise.h"
#include "supervisor/upgrade.h"

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
    {"status", NULL, 0, "status --sandbox",
     "what each process may do: its filters and capabilities, as the kernel says, and\n"
     "                             what the process itself reports that it gave up"},
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
                 "reloads, USR1 reopens the log files, USR2 upgrades to the program on disk.\n"
                 "Exit codes: 0 good, 1 failed, 2 wrong usage, 3 a drain was cut, 78 wrong\n"
                 "configuration.\n");
}

static int main_usage(const char *what, const char *detail)
{
    escape_print(stderr, "pasgate: %s%s\n", what, detail);
    fputs("Try `pasgate help`.\n", stderr); /* escape_print() prints one line */
    return CLI_USAGE;
}

static const struct command *main_find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Each option: its letter, which commands take it, and what of struct cli it sets: a flag, or a
 * text. */
static const struct {
    const char *name;
    char letter;
    unsigned takes;
    size_t flag, text; /* offsets; one of them */
} main_options[] = {
#define FLAG(field) .flag = offsetof(struct cli, field)
#define TEXT(field) .text = offsetof(struct cli, field)
    {"dump", 'd', OPTION_DUMP, FLAG(dump)},
    {"manual", 'm', OPTION_DUMP, FLAG(manual)},
    {"strict", 's', OPTION_DUMP, FLAG(strict)},
    {"json", 'j', OPTION_JSON, FLAG(json)},
    {"watch", 'w', OPTION_JSON, FLAG(watch)},
    {"live", 'l', OPTION_JSON, FLAG(live)},
    {"sandbox", 'S', OPTION_JSON, FLAG(sandbox)},
    {"force", 'f', OPTION_FORCE, FLAG(force)},
    {"wait", 'W', OPTION_WAIT, FLAG(wait)},
    {"rolling", 'r', OPTION_ROLLING, TEXT(pool)},
    {"reason", 'R', TAKES_CERT, TEXT(reason)},
    {"dry-run", 'n', TAKES_CERT, FLAG(dry_run)},
    {"all", 'a', TAKES_CERT, FLAG(all)},
    {"key", 'k', TAKES_CERT, TEXT(key)},
    {"password-file", 'p', TAKES_CERT, TEXT(password)},
};

enum { OPTIONS = sizeof main_options / sizeof *main_options };

/* false: the command does not take it. */
static bool take_option(int letter, const struct command *command, struct cli *cli)
{
    for (int i = 0; i < OPTIONS; i++) {
        if (main_options[i].letter != letter || !(command->takes & main_options[i].takes))
            continue;
        if (main_options[i].text)
            *(const char **)(void *)((char *)cli + main_options[i].text) = optarg;
        else
            *(bool *)((char *)cli + main_options[i].flag) = true;
        return true;
    }
    return false;
}

/* Reads the arguments after the options. 0 or an exit code. */
static int read_arguments(int argc, char **argv, const struct command *command, struct cli *cli)
{
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

/* Reads the options and arguments after the command's name. 0 or an exit code. */
static int read_options(int argc, char **argv, const struct command *command, struct cli *cli)
{
    struct option options[OPTIONS + 3] = {{"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'}};
    int c;

    for (int i = 0; i < OPTIONS; i++)
        options[i + 2] = (struct option){main_options[i].name,
                                         main_options[i].text ? required_argument : no_argument,
                                         NULL, main_options[i].letter};
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'c')
            cli->conf_file = optarg;
        else if (c == 'h')
            return help(stdout), exit(CLI_OK), CLI_OK;
        else if (c == '?')
            return CLI_USAGE;
        else if (!take_option(c, command, cli))
            return main_usage(command->name, ": unknown option for this command");
    }
    return read_arguments(argc, argv, command, cli);
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

    /* At the limit of a file's size (ulimit -f, LimitFSIZE), a write to a log has to fail as on
     * a full disk, and not to end the process. Children inherit this; programs do not. */
    signal(SIGXFSZ, SIG_IGN);
    launch_init(argc, argv);
    upgrade_init();
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
    if (strcmp(argv[1], "--self-test") == 0) /* the running service asks, before it upgrades */
        return upgrade_self_test();
    const struct command *command = main_find(argv[1]);
    if (!command)
        return main_usage("unknown command: ", argv[1]);
    int code = read_options(argc - 1, argv + 1, command, &cli);
    if (code != CLI_OK)
        return code;
    cli.conf_file = absolute(cli.conf_file);
    return command->run(&cli);
}
