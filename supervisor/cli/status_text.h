/* The table for people: `pasgate status`. Command line only. */
#ifndef SUPERVISOR_CLI_STATUS_TEXT_H
#define SUPERVISOR_CLI_STATUS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

struct cert_row;
struct text_table;
struct table;

/* Prints all of it, in plain ASCII, at most 120 columns wide where names allow
 * it. false: the table could not be read. */
bool status_text(const struct table *table, FILE *out, bool colours);

/* What is wrong with a certificate, whole or its beginning, when the next try comes, and what
 * to look at: below its row of this grid. */
void cert_notes(struct text_table *grid, const struct cert_row *cert, bool whole);

#endif
