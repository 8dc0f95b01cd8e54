/* Rows that healthd writes. Part of shm/table.h, which tells the rules; include that. */
#ifndef SHM_LAYOUT_HEALTHD_H
#define SHM_LAYOUT_HEALTHD_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shm/layout.h"
#include "shm/seq.h"

struct health_row { /* writer: healthd */
    uint8_t state;  /* enum health_state */
    uint8_t has_address;
    uint8_t ejections;        /* in a row: each lasts twice as long as the previous one */
    uint8_t silent;           /* 1: the last probe got no response in time */
    uint8_t hedge_all;        /* CAUSE_SILENT: hedge the requests that wait there, too */
    uint8_t cause;            /* enum health_cause: why it is in this state */
    uint8_t was_up;           /* ever */
    uint16_t weight_permille; /* of its configured weight, slow start left out */
    uint16_t rise, fall;      /* consecutive passes and failures so far */
    uint32_t score_permille;  /* HealthScanner; 1000 if unknown */
    uint32_t slow_ms;         /* a response that takes longer is slow, for this pool */
    uint32_t hang_timeout_ms; /* on probation: how long a request may wait for a first byte */
    uint64_t identity;        /* of the backend_row that this row describes */
    uint64_t since_ms, since_wall_ms;
    uint64_t eject_until_ms; /* while EJECTED: it ends then at the earliest */
    uint64_t risen_ms;       /* start of slow start (was DOWN, is new, or unproved); 0: none */
    uint64_t probe_wall_ms;  /* start of the last probe; 0: none yet */
    uint32_t probe_us;       /* duration of the last probe */
    uint32_t probe_ok;
    uint64_t probes, failures;
    struct sockaddr_storage address; /* where to connect: the address that passed last */
    char reason[TABLE_REASON];       /* of the state */
    char probe_text[TABLE_REASON];   /* of the last probe */
};

struct health {
    struct seq seq;
    struct health_row row;
};

#endif
