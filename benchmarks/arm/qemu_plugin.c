/* A plugin for qemu-user: how often each block of emulated code is executed, by stage.

   The emulated program tells that a stage begins by asking for the priority of a process that there cannot be, FIRST +
   the stage's number (see counted_run.py). For each stage and block, a line is written: the stage, how often the block
   was executed in it, and the block's code in hexadecimal. Counts are right for programs with one thread. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GETPRIORITY = 141, FIRST = 0x7f000000, BUCKETS = 1 << 16, INSTRUCTION = 4 };

/* What is used of QEMU's plugin interface; Debian does not ship its qemu-plugin.h. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
int qemu_plugin_version = 1;

struct block {
    struct block *next;
    uint64_t address, executed, told;
    size_t size;
    uint8_t code[];
};

static struct block *blocks[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *output;
static int stage = -1; /* none yet, or no more */

static struct block *find(uint64_t address, const uint8_t *code, size_t size) {
    struct block **place = &blocks[(address / INSTRUCTION) % BUCKETS];
    for (struct block *b = *place; b; b = b->next)
        if (b->address == address && b->size == size && memcmp(b->code, code, size) == 0) return b;
    struct block *made = calloc(1, sizeof *made + size);
    made->next = *place;
    made->address = address;
    made->size = size;
    memcpy(made->code, code, size);
    return *place = made;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb) {
    size_t count = qemu_plugin_tb_n_insns(tb);
    uint8_t code[count * INSTRUCTION];
    for (size_t i = 0; i < count; i++)
        memcpy(code + i * INSTRUCTION, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), INSTRUCTION);
    pthread_mutex_lock(&lock);
    struct block *b = find(qemu_plugin_tb_vaddr(tb), code, sizeof code);
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(tb, 0 /* add */, &b->executed, 1);
}

static void tell(void) {
    for (int i = 0; i < BUCKETS; i++)
        for (struct block *b = blocks[i]; b; b = b->next) {
            if (stage >= 0 && b->executed != b->told) {
                fprintf(output, "%d %llu ", stage, (unsigned long long)(b->executed - b->told));
                for (size_t j = 0; j < b->size; j++) fprintf(output, "%02x", b->code[j]);
                fputc('\n', output);
            }
            b->told = b->executed;
        }
    fflush(output);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t who, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    if (number != GETPRIORITY || (uint32_t)who < FIRST) return;
    pthread_mutex_lock(&lock);
    tell();
    stage = (int)((uint32_t)who - FIRST);
    pthread_mutex_unlock(&lock);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    if (argc != 1 || strncmp(argv[0], "output=", 7) != 0 || !(output = fopen(argv[0] + 7, "w"))) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
