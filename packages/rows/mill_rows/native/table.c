/* Texts to codes. Tables are filled once, from the model, and only searched by requests, so no request can make them slow. */
#include "rows.h"

#include <stdlib.h>

static uint64_t hash_of(const char *text, size_t length) {
    const uint64_t prime = 0x9E3779B97F4A7C15u;
    uint64_t hash = length * prime, word;
    for (; length >= 8; text += 8, length -= 8) {
        memcpy(&word, text, 8);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 29;
    }
    if (length) {
        word = 0;
        memcpy(&word, text, length);
        hash = (hash ^ word) * prime;
    }
    return hash ^ hash >> 32;
}

int table_make(Table *table, size_t entries) {
    size_t size = 4;
    while (size < 2 * entries) size *= 2;
    table->slots = calloc(size, sizeof *table->slots);
    table->mask = size - 1;
    return table->slots ? 0 : -1;
}

int table_add(Table *table, const char *text, size_t length, double code) {
    uint64_t hash = hash_of(text, length);
    size_t place = hash & table->mask;
    while (table->slots[place].text) place = (place + 1) & table->mask;
    char *copy = malloc(length + 1);
    if (!copy) return -1;
    memcpy(copy, text, length);
    table->slots[place] = (Entry){copy, length, hash, code};
    return 0;
}

void table_free(Table *table) {
    for (size_t i = 0; table->slots && i <= table->mask; i++) free(table->slots[i].text);
    free(table->slots);
    table->slots = NULL;
}

const Entry *table_find(const Table *table, const char *text, size_t length) {
    uint64_t hash = hash_of(text, length);
    for (size_t place = hash & table->mask; table->slots[place].text; place = (place + 1) & table->mask) {
        const Entry *entry = &table->slots[place];
        if (entry->hash == hash && entry->length == length && !memcmp(entry->text, text, length)) return entry;
    }
    return NULL;
}
