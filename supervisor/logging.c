#include "supervisor/logging.h"

#include "base/conf/conf.h"
#include "base/log.h"

void logging_init(const struct conf *conf, const char *process)
{
    static const enum log_level levels[] = {
        [CONF_LOG_ERROR] = LOG_LEVEL_ERROR,
        [CONF_LOG_WARN] = LOG_LEVEL_WARN,
        [CONF_LOG_INFO] = LOG_LEVEL_INFO,
        [CONF_LOG_DEBUG] = LOG_LEVEL_DEBUG,
    };

    log_init(levels[conf->log.level],
             conf->log.format == CONF_LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, process);
}
