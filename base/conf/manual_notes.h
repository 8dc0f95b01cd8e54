/* conf/manual_notes.h - text of pasgate.conf(5), in mdoc; constant. Used by conf/manual.c only.
 */
#ifndef BASE_CONF_MANUAL_NOTES_H
#define BASE_CONF_MANUAL_NOTES_H

extern const char conf_manual_notes[];

#endif
