/* The table for people: `pasgate status`. Command line only. */
#ifndef SUPERVISOR_STATUS_TEXT_H
#define SUPERVISOR_STATUS_TEXT_H

#include <stdbool.h>
#include <stdio.h>

struct table;

/* Prints all of it, in plain ASCII, at most 120 columns wide where names allow
 * it. false: the table could not be read. */
bool status_text(const struct table *table, FILE *out, bool colours);

#endif
