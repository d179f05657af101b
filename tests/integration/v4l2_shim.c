/* A USB camera in user space, for LD_PRELOAD: answers open, stat and the ioctls of one V4L2 device as the driver uvcvideo
 * does. Only for tests; one user at a time.
 *
 * SHIM_DEVICE    path of the device
 * SHIM_PICTURES  file of JPEGs, one behind the other, that it delivers in a loop
 * SHIM_FAULT     "", "yuyv" (it knows no other format), "busy" (another program streams), "forbidden",
 *                "unplugged" (after SHIM_AFTER pictures), "frozen" (after SHIM_AFTER pictures: none comes any more)
 *
 * The file descriptor is a memfd that holds the buffers, so mmap, munmap and close are the kernel's own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, SIZE_IMAGE = WIDTH * HEIGHT * 2, MAX_BUFFERS = 32, MAX_FRAMES = 1024 };
enum { STRIDE = 1 << 18 }; /* from buffer to buffer: whole pages */
#define NS 1000000000LL

static int device = -1;
static char *memory;
static unsigned buffers, queue[MAX_BUFFERS], queued, fps = 30;
static long long picture, started_ns;
static struct { const char *data; size_t size; } pictures[MAX_FRAMES];
static unsigned picture_count;

static int fault_is(const char *name)
{
    const char *fault = getenv("SHIM_FAULT");
    return fault && !strcmp(fault, name);
}

static int is_ours(const char *path)
{
    const char *ours = getenv("SHIM_DEVICE");
    return ours && path && !strcmp(path, ours);
}

static int fails_with(int number)
{
    errno = number;
    return -1;
}

static int (*real_open)(const char *, int, ...);
static int (*real_ioctl)(int, unsigned long, void *);
static int (*real_stat)(const char *, struct stat *);

static void load_pictures(void)
{
    int file = real_open(getenv("SHIM_PICTURES"), O_RDONLY);
    struct stat status;
    if (file < 0 || fstat(file, &status))
        abort();
    const char *data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, file, 0), *end = data + status.st_size;
    close(file);
    while (data < end && picture_count < MAX_FRAMES) {
        const char *next = memmem(data + 2, end - data - 2, "\xff\xd9\xff\xd8", 4); /* end of one, start of the next */
        size_t size = next ? (size_t)(next + 2 - data) : (size_t)(end - data);
        if (size > SIZE_IMAGE)
            abort();
        pictures[picture_count].data = data;
        pictures[picture_count++].size = size;
        data += size;
    }
}

__attribute__((constructor)) static void load(void)
{
    real_open = dlsym(RTLD_NEXT, "open64");
    real_ioctl = dlsym(RTLD_NEXT, "ioctl");
    real_stat = dlsym(RTLD_NEXT, "stat");
    if (getenv("SHIM_PICTURES"))
        load_pictures();
}

static int open_device(void)
{
    if (fault_is("forbidden"))
        return fails_with(EACCES);
    return device = memfd_create("camera", MFD_CLOEXEC);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return is_ours(path) ? open_device() : real_open(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

int stat(const char *path, struct stat *status)
{
    if (!is_ours(path))
        return real_stat(path, status);
    *status = (struct stat){.st_mode = S_IFCHR | 0660, .st_nlink = 1, .st_rdev = makedev(81, 0)};
    return 0;
}

#if __WORDSIZE == 64
int stat64(const char *path, struct stat64 *status) { return stat(path, (struct stat *)status); }
#endif

static int describe_format(struct v4l2_format *format)
{
    int raw = fault_is("yuyv");
    format->fmt.pix = (struct v4l2_pix_format){
        .width = WIDTH,
        .height = HEIGHT,
        .pixelformat = raw ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG, /* what was asked for is changed, as drivers do */
        .field = V4L2_FIELD_NONE,
        .bytesperline = raw ? WIDTH * 2 : 0,
        .sizeimage = SIZE_IMAGE,
        .colorspace = V4L2_COLORSPACE_SRGB,
    };
    return 0;
}

static int describe_rate(struct v4l2_streamparm *parameters, int set)
{
    struct v4l2_fract *wanted = &parameters->parm.capture.timeperframe;
    if (set && wanted->numerator && wanted->denominator / wanted->numerator)
        fps = wanted->denominator / wanted->numerator;
    parameters->parm.capture = (struct v4l2_captureparm){
        .capability = V4L2_CAP_TIMEPERFRAME, .timeperframe = {1, fps}, .readbuffers = 0};
    return 0;
}

static int allocate(struct v4l2_requestbuffers *request)
{
    if (request->memory != V4L2_MEMORY_MMAP)
        return fails_with(EINVAL);
    buffers = request->count = request->count < MAX_BUFFERS ? request->count : MAX_BUFFERS;
    queued = 0;
    if (!buffers)
        return 0;
    if (ftruncate(device, (off_t)buffers * STRIDE))
        return -1;
    memory = mmap(NULL, (size_t)buffers * STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
    return memory == MAP_FAILED ? -1 : 0;
}

static int describe_buffer(struct v4l2_buffer *buffer)
{
    if (buffer->index >= buffers)
        return fails_with(EINVAL);
    buffer->length = SIZE_IMAGE;
    buffer->m.offset = buffer->index * STRIDE;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    return 0;
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

static int has_come(const char *fault)
{
    const char *after = getenv("SHIM_AFTER");
    return fault_is(fault) && started_ns && picture >= (after ? atoll(after) : 0);
}

static int take(struct v4l2_buffer *buffer)
{
    while (has_come("frozen") || !queued)
        pause();
    long long late_ns = now_ns() - started_ns - picture * NS / fps;
    if (late_ns * fps > (long long)queued * NS)
        picture += late_ns * fps / NS; /* nobody was there with a buffer: a driver drops them */
    long long due_ns = started_ns + picture * NS / fps;
    struct timespec due = {due_ns / NS, due_ns % NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        ;
    buffer->index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof *queue);
    describe_buffer(buffer);
    unsigned which = picture % picture_count;
    memcpy(memory + buffer->m.offset, pictures[which].data, pictures[which].size);
    buffer->bytesused = pictures[which].size;
    buffer->sequence = picture++;
    buffer->field = V4L2_FIELD_NONE;
    buffer->timestamp = (struct timeval){due.tv_sec, due.tv_nsec / 1000};
    return 0;
}

int ioctl(int file, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (file < 0 || file != device || (request >> 8 & 0xff) != 'V')
        return real_ioctl(file, request, argument);
    if (has_come("unplugged"))
        return fails_with(ENODEV);
    switch ((uint32_t)request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        *capability = (struct v4l2_capability){.driver = "uvcvideo", .card = "A camera of the tests"};
        capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return *(int *)argument ? fails_with(EINVAL) : 0;
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index)
            return fails_with(EINVAL);
        *input = (struct v4l2_input){.name = "Camera 1", .type = V4L2_INPUT_TYPE_CAMERA};
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index)
            return fails_with(EINVAL);
        format->pixelformat = fault_is("yuyv") ? V4L2_PIX_FMT_YUYV : V4L2_PIX_FMT_MJPEG;
        return 0;
    }
    case VIDIOC_S_FMT:
        if (fault_is("busy"))
            return fails_with(EBUSY);
        return describe_format(argument);
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
        return describe_format(argument);
    case VIDIOC_G_PARM:
        return describe_rate(argument, 0);
    case VIDIOC_S_PARM:
        return describe_rate(argument, 1);
    case VIDIOC_REQBUFS:
        return allocate(argument);
    case VIDIOC_QUERYBUF:
        return describe_buffer(argument);
    case VIDIOC_QBUF:
        if (describe_buffer(argument))
            return -1;
        queue[queued++] = ((struct v4l2_buffer *)argument)->index;
        return 0;
    case VIDIOC_DQBUF:
        return take(argument);
    case VIDIOC_STREAMON:
        started_ns = now_ns();
        picture = 0;
        return 0;
    case VIDIOC_STREAMOFF:
        started_ns = queued = 0;
        return 0;
    default:
        return fails_with(ENOTTY); /* no television standards, no controls */
    }
}
