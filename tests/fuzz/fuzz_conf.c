/* The whole reader, from bytes to settings. Whatever the text: no settings without a cause told and none with one; all
 * that is told is one printable line; and what is printed loads again, to the same print. */
#include "common/conf.h"
#include "proxy/settings.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The system's CAs take longer to read than all the rest. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setenv("SSL_CERT_FILE", "/dev/null", 1);
}

static void tell(void *arg, const char *text)
{
    unsigned *count = arg;
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            abort();
    }
    if (text[0] == '\0' || ++*count > CONF_FAULTS_MAX + 1)
        abort();
}

static void check_whole(const struct settings *s)
{
    if (s->listeners == 0 || s->log.outputs == 0 || s->log.headers.count == 0)
        abort();
    for (size_t i = 0; i < s->listeners; i++) {
        const struct listener_settings *l = &s->listener[i];
        if (l->name == NULL || l->address_text == NULL || l->server.hostname == NULL || l->upstream.hostname == NULL)
            abort();
        if (l->server.banner == NULL || l->server.helo_response == NULL || l->upstream.servers == 0)
            abort();
        if ((l->tls_server != NULL) != (l->server.tls != SERVER_TLS_NONE) ||
            (l->upstream.tls_client != NULL) != (l->upstream.tls != UPSTREAM_TLS_NONE))
            abort();
        if (l->upstream.identity_named != (l->upstream.identity != IDENTITY_AUTO))
            abort();
    }
    for (size_t i = 0; i < s->log.outputs; i++) {
        const struct output_settings *o = &s->log.output[i];
        if ((o->type == OUTPUT_FILE) != (o->path != NULL) || o->queue_size < 8 * s->log.max_record)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned faults = 0;
    struct settings *s = settings_load_text("f", span_of((const char *)data, size), NULL, NULL, tell, &faults);
    if ((s == NULL) != (faults > 0))
        abort();
    if (s == NULL)
        return 0;
    check_whole(s);
    char *printed = settings_print(s);
    struct settings *again = settings_load_text("f", span_str(printed), NULL, NULL, tell, &faults);
    if (again == NULL)
        abort();
    check_whole(again);
    char *printed_again = settings_print(again);
    if (strcmp(printed, printed_again) != 0)
        abort();
    free(printed);
    free(printed_again);
    settings_unref(&again);
    settings_unref(&s);
    return 0;
}
