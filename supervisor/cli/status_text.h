/* The table as text for people: `pasgate status`. Command line only. */
#ifndef SUPERVISOR_CLI_STATUS_TEXT_H
#define SUPERVISOR_CLI_STATUS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

struct cert_row;
struct text_table;
struct table;

/* Prints everything, in plain ASCII, at most 120 columns wide where names allow it. false: the
 * table could not be read. */
bool status_text(const struct table *table, FILE *out, bool colours);

/* Adds notes below the certificate's row of this text table: its error, whole or only the
 * beginning, the time of the next try, and what to look at. */
void cert_notes(struct text_table *text_table, const struct cert_row *cert, bool whole);

#endif
