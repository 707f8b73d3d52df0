plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "io.edgetx.example"
    compileSdk = 35

    defaultConfig {
        applicationId = "io.edgetx.example"
        minSdk = 26
        targetSdk = 35
        versionCode = 1
        versionName = "1.0"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
    }

    // Each variant ships one runtime only.
    flavorDimensions += "runtime"
    productFlavors {
        create("litert") { dimension = "runtime" }
        create("onnx") { dimension = "runtime" }
    }

    // Graphs do not get smaller, and MediaPipe maps them out of the APK.
    androidResources {
        noCompress += listOf("tflite", "onnx")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    kotlinOptions {
        jvmTarget = "17"
    }
}

dependencies {
    implementation(libs.androidx.activity)
    implementation(libs.androidx.lifecycle)
    implementation(libs.coroutines.android)
    "litertImplementation"(libs.mediapipe.text)
    "onnxImplementation"(libs.onnxruntime)
    "onnxImplementation"(libs.onnxruntime.extensions)
    testImplementation(libs.junit)
    androidTestImplementation(libs.androidx.test.junit)
    androidTestImplementation(libs.androidx.test.runner)
}
