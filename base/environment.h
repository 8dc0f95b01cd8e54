/* What a process was given by its environment. */
#ifndef BASE_ENVIRONMENT_H
#define BASE_ENVIRONMENT_H

/* Overwrites the value of each variable but of those that libraries look at: settings, keys
 * among them, may be written as ${NAME}. In the process that needs none of them. */
void environment_wipe(void);

#endif
