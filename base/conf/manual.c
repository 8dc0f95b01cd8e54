/* conf/manual.c - pasgate.conf(5) in mdoc, from the table of settings. */
#include <inttypes.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/conf/manual_notes.h"
#include "base/conf/table.h"
#include "base/conf/type.h"
#include "base/conf/value.h"

#define MANUAL_DATE "November 28, 2026" /* change it with the table */

static const char introduction[] =
    ".Sh DESCRIPTION\n"
    "The file tells\n"
    ".Xr pasgate 8\n"
    "where to listen, which certificates to serve and which backends to send requests to.\n"
    "It is read at start and again at SIGHUP.\n"
    "If anything in it is wrong, none of it takes effect, and every error is reported as\n"
    ".Dl file:line: what, and what would be right\n"
    "which\n"
    ".Ic pasgate check\n"
    "does without touching the running service.\n"
    ".Ic pasgate check --dump\n"
    "prints the file with every setting filled in.\n"
    ".Pp\n"
    "The syntax is that of libconfig: a setting is\n"
    ".Ic name = value;\n"
    "with a group in { }, a list in ( ), and comments after # or //.\n"
    "A list of one value may be written as just that value.\n"
    ".Pp\n"
    "A line\n"
    ".Ic @include \\(dqfile\\(dq\n"
    "stands for the content of that file.\n"
    "A relative path is relative to the directory of the file that contains it.\n"
    ".Pp\n"
    "In every string,\n"
    ".Ic ${NAME}\n"
    "is the environment variable of that name, which has to be set;\n"
    ".Ic ${NAME:-text}\n"
    "is text if it is not set or empty; and $${ stands for the two characters.\n"
    ".Pp\n"
    "A duration is 200ms, 5s, 10m, 12h or 90d in quotes, or a number of seconds.\n"
    "A size is 64k, 2m or 1g in quotes, with 1024 for each step, or a number of bytes.\n";

static const char ending[] =
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/pasgate/pasgate.conf\n"
    "The default configuration file.\n"
    ".It Pa /var/lib/pasgate\n"
    "Accounts, keys and certificates.\n"
    ".El\n"
    ".Sh EXAMPLES\n"
    "Four settings are enough: a name, an email address, a pool and its backends:\n"
    ".Bd -literal -offset indent\n"
    "certificates = ( { names = [ \"shop.example.com\" ]; } );\n"
    "acme = { email = \"ops@example.com\"; };\n"
    "pools = ( { name = \"pas\"; backends = [ \"pas1:8810\", \"pas2:8810\" ]; } );\n"
    ".Ed\n"
    ".Pp\n"
    "Clients use /pas for what PAS calls /web, and reports may run for an hour:\n"
    ".Bd -literal -offset indent\n"
    "routes = (\n"
    "    { path = \"/pas\"; pool = \"pas\"; upstream_path = \"/web\"; },\n"
    "    { path = \"/pas/reports\"; pool = \"pas\"; upstream_path = \"/web/reports\";\n"
    "      timeouts = { first_byte = \"1h\"; }; } );\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr pasgate 8\n";

/* Writes a line of text; characters that mdoc would take for commands are escaped. */
static void text_line(const char *s, FILE *out)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", out);
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", out);
        else
            putc(*s, out);
    }
    putc('\n', out);
}

static void spell(const struct conf_setting *row, uint64_t v, FILE *out)
{
    char buf[CONF_FORMAT_LEN];

    if (row->kind == &conf_ms || row->kind == &conf_ms64 || row->kind == &conf_hedge)
        fputs(conf_format_duration(v, buf), out);
    else if (row->kind == &conf_bytes || row->kind == &conf_bytes64)
        fputs(conf_format_size(v, buf), out);
    else
        fprintf(out, "%" PRIu64, v);
}

static bool is_number(const struct conf_kind *kind)
{
    return kind == &conf_ms || kind == &conf_ms64 || kind == &conf_hedge ||
           kind == &conf_bytes || kind == &conf_bytes64 || kind == &conf_count ||
           kind == &conf_count64 || kind == &conf_port;
}

/* Describes the allowed values: the kind, with its range or its words. */
static void values(const struct conf_setting *row, FILE *out)
{
    const char *between = "";

    fputs(row->flags & LIST ? "Write a list, each of it " : "Write ", out);
    if (row->choices) {
        fputs("one of ", out);
        for (const struct conf_choice *c = row->choices; c->name; c++) {
            if (c->flags & SOON)
                continue;
            fprintf(out, "%s%s", between, c->name);
            between = ", ";
        }
    } else if (is_number(row->kind)) {
        fprintf(out, "%s from ", row->kind->name);
        spell(row, row->min, out);
        fputs(" to ", out);
        spell(row, row->max, out);
        if (row->zero)
            fprintf(out, ", or %s", row->zero);
        if (row->kind == &conf_bytes64)
            fputs(", or unlimited", out);
        if (row->kind == &conf_hedge)
            fputs(", or auto", out);
    } else {
        fputs(row->kind->name, out);
        if (row->kind != &conf_bool && row->kind != &conf_string && row->kind != &conf_secret)
            fprintf(out, ": %s", row->kind->syntax);
    }
}

/* Cipher lists are longer than a line: the manual may break them at a colon. */
static void default_text(const char *def, FILE *out)
{
    fputs(".\nThe default is\n.Ic ", out);
    for (; *def; def++)
        fprintf(out, *def == ':' ? "%c\\:" : "%c", *def);
    fputs(" .\n", out);
}

static void setting(const struct conf_setting *row, FILE *out)
{
    fprintf(out, ".It Ic %s\n", row->name);
    text_line(row->text, out);
    if (row->flags & SOON) {
        fputs(".Em Not supported yet.\n", out);
        return;
    }
    if (!row->kind)
        return;
    values(row, out);
    if (row->flags & REQUIRED)
        fputs(".\nRequired.\n", out);
    else if (row->def && *row->def)
        default_text(row->def, out);
    else
        fputs(".\n", out);
}

/* True for a group that has its own section in the manual. */
static bool apart(const struct conf_setting *row)
{
    return !row->kind && !(row->flags & (SOON | IN_ROUTE)) && row->section->title;
}

static void section_manual(const struct conf_section *section, FILE *out)
{
    if (section->title) {
        fprintf(out, ".Ss %s\n", section->title);
        text_line(section->text, out);
    }
    fputs(".Bl -tag -width Ds\n", out);
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        if (!apart(row))
            setting(row, out);
    }
    fputs(".El\n", out);
    for (const struct conf_setting *row = section->rows; row->name; row++) {
        if (apart(row))
            section_manual(row->section, out);
    }
}

void conf_manual(FILE *out)
{
    fputs(".\\\" Made by `pasgate check --manual` from base/conf/table.c: change that.\n"
          ".Dd " MANUAL_DATE "\n.Dt PASGATE.CONF 5\n.Os\n.Sh NAME\n.Nm pasgate.conf\n"
          ".Nd configuration of the TLS front door for PAS for OpenEdge\n",
          out);
    fputs(introduction, out);
    fputs(".Sh SETTINGS\n", out);
    section_manual(&conf_top, out);
    fputs(conf_manual_notes, out);
    fputs(ending, out);
}
