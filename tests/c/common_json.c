/* Recipes and labels out of JSON files: the spellings of Hugging Face, timm, torchvision and our
 * own, and what each lacks, said in words. */
#include "common/json.h"
#include "common/labels.h"
#include "common/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int failures, checks;
static char path[] = "/tmp/andon_json_XXXXXX";

static void expect(int good, const char *what, const char *got)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("FAIL %s: %s\n", what, got);
}

static void write_file(const char *text)
{
	FILE *out = fopen(path, "w");

	if (!out || fputs(text, out) < 0 || fclose(out) != 0) {
		perror(path);
		exit(1);
	}
}

static void gives(const char *json, const char *canonical)
{
	struct recipe r;
	struct err e = { 0 };
	char out[RECIPE_TEXT_MAX] = "";

	write_file(json);
	int result = recipe_from_config(&r, path, &e);
	if (result == 1)
		recipe_format(&r, out);
	expect(result == 1 && strcmp(out, canonical) == 0, json, result == 1 ? out : e.text);
}

static void refuses(const char *json, const char *because)
{
	struct recipe r;
	struct err e = { 0 };

	write_file(json);
	int result = recipe_from_config(&r, path, &e);
	expect(result == -1 && strstr(e.text, because) && strstr(e.text, path) &&
		   e.code == EX_DATAERR,
	       json, result < 0 ? e.text : "was accepted");
}

#define NORM "scale=1/255;mean=0.485,0.456,0.406;std=0.229,0.224,0.225;layout=nchw;dtype=f32"
#define HALF "scale=1/255;mean=0.5,0.5,0.5;std=0.5,0.5,0.5;layout=nchw;dtype=f32"
#define HF_VALUES                                                                           \
	"\"do_rescale\":true,\"rescale_factor\":0.00392156862745098,\"do_normalize\":true," \
	"\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5]"

static void check_hugging_face(void)
{
	gives("{\"image_processor_type\":\"ViTImageProcessor\",\"do_resize\":true,\"size\":"
	      "{\"height\":224,\"width\":192},\"resample\":2," HF_VALUES "}",
	      "resize=stretch:192x224;interp=bilinear;antialias=1;crop=none;color=rgb;" HALF);
	gives("{\"do_resize\":true,\"size\":{\"shortest_edge\":256},\"resample\":3,"
	      "\"do_center_crop\":true,\"crop_size\":{\"height\":224,\"width\":224}," HF_VALUES "}",
	      "resize=short:256;interp=bicubic;antialias=1;crop=center-floor:224x224;color="
	      "rgb;" HALF);
	gives("{\"feature_extractor_type\":\"ConvNextFeatureExtractor\",\"do_resize\":true,"
	      "\"size\":224,\"crop_pct\":0.875,\"resample\":3," HF_VALUES "}",
	      "resize=short:256;interp=bicubic;antialias=1;crop=center-floor:224x224;color="
	      "rgb;" HALF);
	gives("{\"do_resize\":true,\"size\":{\"shortest_edge\":384},\"crop_pct\":0.875,"
	      "\"resample\":3," HF_VALUES "}",
	      "resize=stretch:384x384;interp=bicubic;antialias=1;crop=none;color=rgb;" HALF);
	gives("{\"do_resize\":true,\"size\":{\"shortest_edge\":288},\"resample\":2,"
	      "\"do_center_crop\":true,\"crop_size\":256,\"do_rescale\":true,\"rescale_factor\":1,"
	      "\"do_normalize\":false,\"do_flip_channel_order\":true}",
	      "resize=short:288;interp=bilinear;antialias=1;crop=center-floor:256x256;color=bgr;"
	      "scale=1;mean=0,0,0;std=1,1,1;layout=nchw;dtype=f32");
	refuses("{\"do_resize\":true,\"size\":224,\"resample\":2," HF_VALUES "}",
		"\"size\" is one number");
	refuses("{\"do_resize\":true,\"size\":{\"shortest_edge\":224}," HF_VALUES "}",
		"lacks \"resample\"");
	refuses("{\"do_resize\":false,\"do_normalize\":false}", "lacks \"do_rescale\"");
	refuses("{\"do_resize\":false,\"do_rescale\":false,\"do_normalize\":false}",
		"does not say color=");
	refuses("{\"do_resize\":false,\"do_pad\":true," HF_VALUES "}",
		"\"do_pad\" is not supported");
	refuses("{\"do_resize\":false,\"rescale_offset\":true," HF_VALUES "}", "rescale_offset");
	refuses("{\"do_resize\":false,\"crop_size\":224," HF_VALUES "}",
		"lacks \"do_center_crop\"");
}

static void check_others(void)
{
	gives("{\"architecture\":\"resnet50\",\"pretrained_cfg\":{\"input_size\":[3,224,224],"
	      "\"interpolation\":\"bicubic\",\"crop_pct\":0.95,\"crop_mode\":\"center\","
	      "\"mean\":[0.485,0.456,0.406],\"std\":[0.229,0.224,0.225]}}",
	      "resize=short:235;interp=bicubic;antialias=1;crop=center:224x224;color=rgb;" NORM);
	gives("{\"input_size\":[3,256,192],\"interpolation\":\"bilinear\",\"crop_pct\":1.0,"
	      "\"crop_mode\":\"squash\",\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5]}",
	      "resize=stretch:192x256;interp=bilinear;antialias=1;crop=center:192x256;color="
	      "rgb;" HALF);
	refuses("{\"pretrained_cfg\":{\"input_size\":[3,224,224],\"interpolation\":\"bicubic\","
		"\"crop_pct\":0.9,\"crop_mode\":\"border\",\"mean\":0.5,\"std\":0.5}}",
		"\"border\" is not supported");
	refuses("{\"pretrained_cfg\":{\"input_size\":[3,224,224],\"crop_pct\":0.9}}",
		"lacks \"interpolation\"");
	gives("{\"resize_size\":[232],\"crop_size\":[224],\"interpolation\":"
	      "\"InterpolationMode.BILINEAR\",\"antialias\":true,\"mean\":[0.485,0.456,0.406],"
	      "\"std\":[0.229,0.224,0.225]}",
	      "resize=short:232;interp=bilinear;antialias=1;crop=center:224x224;color=rgb;" NORM);
	refuses("{\"resize_size\":232,\"crop_size\":224,\"interpolation\":\"bilinear\"}",
		"lacks \"mean\"");
	gives("{\"recipe\":\"resize=none;color=gray;layout=nchw;dtype=u8\",\"labels\":[\"a\"]}",
	      "resize=none;crop=none;color=gray;scale=1;mean=0;std=1;layout=nchw;dtype=u8");
	refuses("{\"recipe\":\"resize=none\"}", "does not say color=");
	refuses("{\"recipe\":7}", "\"recipe\" is not a text");
	refuses("{\"recipe\":", "not JSON: line 1");
	refuses("{\"a\":1,\"a\":2}", "not JSON");
	refuses("[[[[[[[[", "not JSON");

	struct recipe r;
	struct err e = { 0 };
	write_file("{\"labels\":[\"a\"]}");
	expect(recipe_from_config(&r, path, &e) == 0, "a file without a recipe", e.text);
	expect(recipe_from_config(&r, "/nonexistent", &e) == -1 && e.code == EX_NOINPUT,
	       "a missing file", e.text);
}

static void labels_are(const char *text, const char *joined)
{
	struct labels l;
	struct err e = { 0 };
	char got[1024] = "";

	write_file(text);
	int result = labels_load(&l, path, &e);
	for (size_t i = 0; i < l.count; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "|" : "",
			 l.name[i]);
	expect(result == 1 && strcmp(got, joined) == 0, text, result < 0 ? e.text : got);
	labels_free(&l);
}

static void labels_refuse(const char *text, const char *because)
{
	struct labels l;
	struct err e = { 0 };

	write_file(text);
	int result = labels_load(&l, path, &e);
	expect(result == -1 && strstr(e.text, because) && l.count == 0, text,
	       result < 0 ? e.text : "was accepted");
	labels_free(&l);
}

static void check_labels(void)
{
	struct labels l;
	struct err e = { 0 };

	labels_are("{\"labels\":[\"good\",\"red iron\"]}", "good|red iron");
	labels_are(" [\"good\"]", "good");
	labels_are("{\"id2label\":{\"1\":\"b\",\"0\":\"a\",\"2\":\"c\"},\"classes\":null}",
		   "a|b|c");
	labels_are("{\"names\":{\"0\":\"a\"}}", "a");
	labels_are("good\r\nscratch on top\nlast", "good|scratch on top|last");
	labels_are("a\nb\n\n\n", "a|b");
	labels_refuse("", "0 labels");
	labels_refuse("a\n\nb\n", "label 1 is not a name");
	labels_refuse("{\"labels\":[]}", "0 labels");
	labels_refuse("{\"labels\":[\"a\",7]}", "label 1 is not a name");
	labels_refuse("{\"id2label\":{\"1\":\"b\",\"2\":\"a\"}}", "'2' is not one of");
	labels_refuse("{\"id2label\":{\"0\":\"b\",\"00\":\"a\"}}", "'00' is not one of");
	labels_refuse("{\"labels\":", "not JSON");
	write_file("{\"recipe\":\"x\"}");
	expect(labels_load(&l, path, &e) == 0, "JSON without labels", e.text);
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	check_hugging_face();
	check_others();
	check_labels();
	unlink(path);
	printf("%d checks of JSON, %d wrong\n", checks, failures);
	return failures > 0;
}
