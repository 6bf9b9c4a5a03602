"""Fashion-MNIST: articles of clothing in the format of MNIST (Xiao, Rasul & Vollgraf 2017)."""

from simulacra.data.formats.idx import IdxSource

SOURCE = IdxSource(
    name="fashion-mnist",
    summary="articles of clothing",
    size="60,000 + 10,000 images, 28x28 grey, 10 classes",
    classes=(*("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"), *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")),
    # Of the contents of archives whose md5 is the publisher's, as several independent public projects pin them.
    digests={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
)
