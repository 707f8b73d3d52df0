// swift-tools-version: 5.9
import PackageDescription

let package = Package(
    name: "EdgeTxText",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "EdgeTxText", targets: ["EdgeTxText"]),
        .library(name: "EdgeTxOnnx", targets: ["EdgeTxOnnx"]),
    ],
    dependencies: [
        .package(
            url: "https://github.com/microsoft/onnxruntime-swift-package-manager",
            exact: "1.24.2"
        )
    ],
    targets: [
        // Needs Foundation and CryptoKit only.
        .target(name: "EdgeTxText"),
        .target(
            name: "EdgeTxOnnx",
            dependencies: [
                "EdgeTxText",
                .product(name: "onnxruntime", package: "onnxruntime-swift-package-manager"),
                .product(
                    name: "onnxruntime_extensions",
                    package: "onnxruntime-swift-package-manager"
                ),
            ]
        ),
        .testTarget(name: "EdgeTxTextTests", dependencies: ["EdgeTxText"]),
    ]
)
