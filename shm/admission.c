#include "shm/admission.h"

bool admission_drains(const struct admin_row *admin)
{
    return admin->override == ADMIN_DRAIN || admin->heal == RECOVERY_DRAINING;
}

enum admin_state admission_state(const struct admin_row *admin)
{
    if (admin->override == ADMIN_MAINT || admin->heal == RECOVERY_RESTARTING ||
        admin->heal == RECOVERY_VERIFYING)
        return ADMIN_MAINT;
    if (admission_drains(admin))
        return admin->drained == DRAIN_GOES_ON ? ADMIN_DRAIN : ADMIN_MAINT;
    return ADMIN_READY;
}

uint32_t admission_permille(uint64_t risen_ms, uint32_t slow_start_ms, uint64_t now_ms)
{
    uint64_t age = now_ms > risen_ms ? now_ms - risen_ms : 0;

    if (risen_ms == 0 || age >= slow_start_ms)
        return 1000;
    return SLOW_START_PERMILLE + (uint32_t)((1000 - SLOW_START_PERMILLE) * age / slow_start_ms);
}
